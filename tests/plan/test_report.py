"""The plan as text: critical path, bounds, what is assumed and what is measured."""

import re
from pathlib import Path

import pytest
import yaml
from helpers.plans import ACTIVE, make, read, store, took
from helpers.workflow import ROOT, TINY, segunc, where

from segunc.plan.report import Plan, critical_path, report
from segunc.workflow import environment


def test_everything_is_said_to_be_assumed_before_anything_ran(tmp_path: Path) -> None:
    overlay = yaml.safe_load((ROOT / "workflow/presets/paper.yaml").read_text())
    overlay["raw_folders"] = [str(tmp_path / "nowhere")]
    said = report(where(tmp_path, overlay))
    assert re.search(r"^total +3,220 +0 ", said, re.MULTILINE)
    assert "Measured: nothing in results/records yet." in said
    assert "lidc: 12,816 images" in said and "(expected: the slices of the HPU-Net release" in said
    assert "a GPU: 20 T multiply-adds/s" in said and "not measured" in said
    assert "early stopping ends after 5 times its patience" in said


def test_the_command_ends_in_one_sentence(tmp_path: Path) -> None:
    wrong = segunc(tmp_path, "plan", overlay={"training": {"stepz": 3}})
    assert wrong.returncode == 1 and "segunc: config key training.stepz is unknown" in wrong.stderr
    wrong = segunc(tmp_path, "plan", "tablez", overlay=TINY)
    assert (
        wrong.returncode == 1
        and "segunc: target tablez is not a file of the configured grid and not one of active," in wrong.stderr
    )
    assert not wrong.stdout and "Traceback" not in wrong.stderr
    assert not (tmp_path / "results").exists()


def test_a_file_of_a_dataset_outside_the_grid(tmp_path: Path) -> None:
    overlay = {**TINY, "raw_folders": ["nowhere"]}
    said = report(["results/models/lidc/unet/seed0/weights.pt", *where(tmp_path, overlay)])
    assert re.search(r"^train +1 +0", said, re.MULTILINE) and "lidc: 12,816 images" in said


def test_files_that_were_cut_off_do_not_count(tmp_path: Path) -> None:
    make(tmp_path, TINY)
    store(tmp_path, "phantom_lung", 100, 32)
    for model, damage in {
        "unet": lambda text: text[:-20],
        "ensemble": lambda text: text.replace('"cost": {', '"cost": 3, "was": {'),
        "mc_dropout": lambda text: text.replace('"spec": {', '"spec": [], "was": {'),
    }.items():
        name = f"train/phantom_lung/{model}/seed0"
        took(tmp_path, name, 100.0)
        record = tmp_path / f"results/records/{name}.json"
        record.write_text(damage(record.read_text()))
    assert "Measured: nothing in" in report(where(tmp_path, TINY))


def test_the_critical_path_by_hand(tmp_path: Path) -> None:
    """Two rounds of a strategy that needs the model: each waits for the training before it."""
    overlay = {**TINY, "active": {**ACTIVE, "strategies": ["entropy", "random"], "seeds": [3], "models": ["unet"]}}
    _, jobs = read(tmp_path, overlay)
    names = [job.rule for job in jobs]
    # All jobs take a second, but active trainings take ten.
    took = [10.0 if name == "active_train" else 1.0 for name in names]
    chain = critical_path(Plan(jobs, [False] * len(jobs), took, took))
    assert [(jobs[i].rule, jobs[i].cell.round) for i in chain] == [
        ("prepare", ""),
        ("active_start", ""),
        ("active_train", 0),
        ("active_acquire_with_model", 1),
        ("active_train", 1),
        ("active_acquire_with_model", 2),
        ("active_train", 2),
        ("active_sample", 2),
        ("active_evaluate", 2),
        ("active_tabulate", ""),
        ("claims_tabulate", ""),
        ("answer", ""),
        ("assemble", ""),
    ]
    # Finished jobs take no time: with all trainings of that strategy finished, the other's path has one training.
    finished = [job.rule == "active_train" and job.cell.strategy != "random" for job in jobs]
    chain = critical_path(Plan(jobs, finished, took, took))
    assert sum(took[i] for i in chain) == 1 + 1 + 2 + 10 + 1 + 1 + 1 + 1 + 1 + 1
    assert critical_path(Plan(jobs, [True] * len(jobs), took, took)) == []


def test_runs_without_a_gpu_say_nothing_about_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "DRIVER", tmp_path / "no driver")
    make(tmp_path, TINY)
    store(tmp_path, "phantom_lung", 100, 32)
    before = report(where(tmp_path, {**TINY, "training": {"steps": 600}}))
    took(tmp_path, "train/phantom_lung/unet/seed0", 1e6)
    after = report(where(tmp_path, {**TINY, "training": {"steps": 600}}))

    def line(said: str, begin: str) -> str:
        return next(line for line in said.splitlines() if line.startswith(begin))

    # Jobs, done, GPU-hours, core-hours with a GPU, and those without one.
    of_train = [line(said, "train ").split()[1:6] for said in (before, after)]
    assert of_train[0][:4] == of_train[1][:4] and of_train[0][4] != of_train[1][4]
    assert line(before, "  cores") != line(after, "  cores")
    assert "Networks on a GPU are not measured: these runs had none." in after

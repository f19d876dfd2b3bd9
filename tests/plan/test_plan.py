"""The plan of a grid: the same jobs as Snakemake's, hand-counted chains, measured and assumed durations."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from helpers.workflow import ROOT, TINY, merged, scheduled, where

from segunc.config import schema as settings
from segunc.plan import costs
from segunc.plan import report as plan
from segunc.runtime import records as provenance
from segunc.runtime.errors import UserError

ALL_STRATEGIES = ["random", "entropy", "coreset", "disagreement"]
ACTIVE = {
    "datasets": ["phantom_lung"],
    "models": ["unet", "prob_unet"],
    "strategies": ALL_STRATEGIES,
    "seeds": [3, 5],
    "start": 4,
    "add": 2,
    "rounds": 2,
    "training": {"steps": 6, "epochs": None},
}


def read(folder: Path, overlay: dict | None = None, *words: str) -> tuple[settings.Config, list[plan.Job]]:
    config, targets, _ = plan.read_arguments([*words, *where(folder, overlay)])
    return config, plan.chosen(config, plan.jobs_of(config), targets)


def counts(folder: Path, overlay: dict | None = None, *words: str) -> dict[str, int]:
    return Counter(job.rule for job in read(folder, overlay, *words)[1])


@pytest.mark.parametrize(
    "overlay",
    [
        {},
        TINY,
        merged(TINY, grid={"models": ["prob_unet"], "seeds": [1, 2]}),
        {**TINY, "active": ACTIVE},
        {**TINY, "active": {**ACTIVE, "rounds": 0}},
        {**TINY, "grid": {"datasets": ["phantom_skin"], "seeds": [0]}, "active": ACTIVE},
    ],
    ids=["default", "tiny", "no plain U-Net", "active", "no rounds", "other dataset"],
)
def test_the_jobs_are_snakemakes(tmp_path: Path, overlay: dict) -> None:
    assert counts(tmp_path, overlay) == scheduled(tmp_path, overlay=overlay)


@pytest.mark.parametrize("target", ["data", "train", "samples", "tables", "figures", "active"])
def test_the_jobs_of_a_target_are_snakemakes(tmp_path: Path, target: str) -> None:
    overlay = {**TINY, "grid": {"datasets": ["phantom_skin"], "seeds": [0, 1]}, "active": ACTIVE}
    assert counts(tmp_path, overlay, target) == scheduled(tmp_path, target, overlay=overlay)


def test_the_jobs_of_a_file(tmp_path: Path) -> None:
    assert counts(tmp_path, TINY, "results/samples/phantom_lung/unet/seed0.h5") == {
        "prepare": 1,
        "train_model": 1,
        "sample": 1,
    }
    with pytest.raises(UserError, match=r"target results/samples/phantom_lung/unet/seed7\.h5 is neither"):
        counts(tmp_path, TINY, "results/samples/phantom_lung/unet/seed7.h5")


def test_the_preset_of_real_data_has_snakemakes_jobs(tmp_path: Path, raw_data_folder: Path) -> None:
    overlay = yaml.safe_load((ROOT / "workflow/presets/real-small.yaml").read_text())
    overlay["raw_folders"] = [str(raw_data_folder.resolve())]
    assert counts(tmp_path, overlay) == scheduled(tmp_path, overlay=overlay)


def test_the_papers_grid_before_its_raw_data_is_there(tmp_path: Path) -> None:
    overlay = yaml.safe_load((ROOT / "workflow/presets/paper.yaml").read_text())
    overlay["raw_folders"] = [str(tmp_path / "nowhere")]
    jobs = counts(tmp_path, overlay)
    # 2 datasets x 4 models x 5 seeds, with round 0 and 2 strategies of 10 rounds each.
    assert jobs["train_model"] == jobs["sample"] == 40
    assert jobs["active_train"] == jobs["active_test"] == 40 * 21
    assert (jobs["pick_with_network"], jobs["pick_without_network"]) == (40 * 10, 2 * 5 * 10)
    said = plan.report(where(tmp_path, overlay))
    assert re.search(r"^total +2,341 +0 ", said, re.MULTILINE)
    # Every kind of number is said to be assumed, and nothing to be measured.
    assert "Measured: nothing yet" in said
    assert "lidc: 12,816 images" in said and "(expected: the slices of the HPU-Net release" in said
    assert "a GPU: 20 T multiply-adds/s" in said and "not measured" in said
    assert "early stopping ends after 5 times its patience" in said


def test_the_command_ends_in_one_sentence(tmp_path: Path) -> None:
    def segunc(*words: str, overlay: dict) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "segunc.cli", "plan", *words, *where(tmp_path, overlay)]
        return subprocess.run(program, capture_output=True, text=True, cwd=ROOT)

    wrong = segunc(overlay={"training": {"stepz": 3}})
    assert wrong.returncode == 1 and "segunc: config key training.stepz is unknown" in wrong.stderr
    wrong = segunc("tablez", overlay=TINY)
    assert wrong.returncode == 1 and "segunc: target tablez is neither all, data," in wrong.stderr
    assert not wrong.stdout and "Traceback" not in wrong.stderr
    assert not (tmp_path / "results").exists()


def test_the_longest_chain_by_hand(tmp_path: Path) -> None:
    """Two rounds of a strategy that asks the network: each waits for the training before it."""
    overlay = {**TINY, "active": {**ACTIVE, "strategies": ["entropy", "random"], "seeds": [3], "models": ["unet"]}}
    _, jobs = read(tmp_path, overlay)
    names = [job.rule for job in jobs]
    # All jobs take a second, but those that train take ten.
    took = [10.0 if name == "active_train" else 1.0 for name in names]
    chain = plan.longest_chain(plan.Plan(jobs, [False] * len(jobs), took, took))
    assert [(jobs[i].rule, jobs[i].cell.round) for i in chain] == [
        ("prepare", ""),
        ("active_start", ""),
        ("active_train", 0),
        ("pick_with_network", 1),
        ("active_train", 1),
        ("pick_with_network", 2),
        ("active_train", 2),
        ("active_test", 2),
        ("active_tables", ""),
        ("plot_learning_curves", ""),
    ]
    # What is done takes no time: with all trainings of that strategy done, the other's longest is one training.
    there = [job.rule == "active_train" and job.cell.strategy != "random" for job in jobs]
    chain = plan.longest_chain(plan.Plan(jobs, there, took, took))
    assert sum(took[i] for i in chain) == 1 + 1 + 2 + 10 + 1 + 1 + 1
    nothing = plan.Plan(jobs, [True] * len(jobs), took, took)
    assert plan.longest_chain(nothing) == []


def make(folder: Path, overlay: dict) -> list[plan.Job]:
    """Empty results and true records of all jobs, as far as the plan reads them."""
    config, jobs = read(folder, overlay)
    for job in jobs:
        for path in plan.outputs(job):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
        spec = json.loads(plan.spec_of(config, job.rule, job.cell))
        provenance.write(plan.record_of(folder, job), spec, provenance.code("segunc.metrics.ged"))
    return jobs


def test_what_is_done(tmp_path: Path) -> None:
    overlay = {**TINY, "active": ACTIVE}
    jobs = make(tmp_path, overlay)

    def left(overlay: dict) -> Counter[str]:
        config, jobs = read(tmp_path, overlay)
        there = plan.done(config, jobs, tmp_path)
        return Counter(job.rule for job, is_done in zip(jobs, there, strict=True) if not is_done)

    assert not left(overlay)
    said = plan.report(where(tmp_path, overlay))
    assert "Nothing is left to do" in said and re.search(rf"^total +{len(jobs)} +{len(jobs)} +- +- ", said, re.M)
    # A setting of one model, and what reads its results.
    of_model = left({**overlay, "models": {"prob_unet": {"options": {"beta": 0.1}}}})
    assert (of_model["train_model"], of_model["evaluate"], of_model["prepare"]) == (2, 2, 0)
    # 2 seeds with round 0 and 2 rounds of 4 strategies; two of the strategies ask the network.
    assert (of_model["active_train"], of_model["pick_with_network"], of_model["pick_without_network"]) == (18, 8, 0)
    # Edited code, here simulated by another digest in the record.
    record = tmp_path / "results/provenance/train/phantom_lung/unet/seed0.json"
    changed = json.loads(record.read_text())
    changed["code"]["segunc.metrics.ged"] = "0" * 12
    record.write_text(json.dumps(changed))
    of_code = left(overlay)
    assert (of_code["train_model"], of_code["sample"], of_code["evaluate"], of_code["make_tables"]) == (1, 1, 1, 1)
    assert not {"active_train", "prepare", "baselines"} & set(of_code)
    # A module that is gone, and a result that is gone.
    changed["code"] = {"segunc.no_such_module": "0" * 12}
    record.write_text(json.dumps(changed))
    assert left(overlay) == of_code
    record.unlink()
    assert left(overlay) == of_code


def benchmark(folder: Path, name: str, seconds: float) -> None:
    path = folder / f"results/benchmarks/{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"
    path.write_text(f"{columns}\n{seconds}\t0:00:01\t1\t1\t1\t1\t1\t1\t1\t1\n")


def store(folder: Path, name: str, images: int, size: int) -> None:
    import h5py
    import numpy as np

    path = folder / f"results/data/{name}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((images, 1, size, size), np.uint8)
        file["masks"] = np.zeros((images, 4, size, size), np.uint8)
        file["split"] = ["train"] * (images - 20) + ["val"] * 10 + ["test"] * 10


def test_durations_from_benchmarks(tmp_path: Path) -> None:
    """A training that took twice what is assumed makes all of its kind take twice as long, whatever their size."""
    overlay = {**TINY, "device": "cpu"}
    config, jobs = read(tmp_path, overlay)
    make(tmp_path, overlay)
    store(tmp_path, "phantom_lung", 100, 32)
    data = plan.data_of_all(config, tmp_path)
    assert (data["phantom_lung"].train, data["phantom_lung"].test, data["phantom_lung"].source) == (80, 10, "")
    trainings = {job.cell: job for job in jobs if job.rule == "train_model" and job.cell.dataset == "phantom_lung"}

    def assumed(of: settings.Config, cell: plan.Cell) -> float:
        spec = settings.train_spec(of, cell.dataset, cell.model, 0)
        return plan.seconds(of, trainings[cell], plan.data_of_all(of, tmp_path), False, spec, None)

    (unet,) = (cell for cell in trainings if cell.model == "unet")
    (ensemble,) = (cell for cell in trainings if cell.model == "ensemble")
    benchmark(tmp_path, "train/phantom_lung/unet/seed0", 2 * assumed(config, unet))
    benchmark(tmp_path, "train/phantom_lung/ensemble/seed0", 3 * assumed(config, ensemble))
    benchmark(tmp_path, "train/phantom_lung/unknown_model/seed0", 1000.0)
    benchmark(tmp_path, "not_a_rule/phantom_lung", 1000.0)
    scales = plan.scales_of(config, tmp_path, gpu=False)
    assert scales["train_model", "unet"] == (pytest.approx(2), 1)
    assert scales["train_model", "ensemble"].factor == pytest.approx(3)
    assert ("sample", "unet") not in scales
    # A model that never ran takes after those that did.
    assert plan.scale(scales, "train_model", "mc_dropout") == scales["train_model", ""].factor
    assert plan.scale(scales, "sample", "unet") == 1
    # Of a larger grid: the record's settings are compared with what they took, not today's.
    larger, _ = read(tmp_path, merged(overlay, training={"steps": 600, "validate_every": 300}))
    scaled = plan.scales_of(larger, tmp_path, gpu=False)
    assert scaled["train_model", "unet"].factor == pytest.approx(2)
    assert assumed(larger, unet) > assumed(config, unet)
    said = plan.report(where(tmp_path, overlay))
    assert "train_model: ensemble 3.00, unet 2.00 (2 runs)" in said
    assert "phantom_lung: 100 images, 80 to train, 10 to test (counted)" in said


def test_benchmarks_without_a_gpu_say_nothing_about_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, TINY)
    store(tmp_path, "phantom_lung", 100, 32)
    before = plan.report(where(tmp_path, {**TINY, "training": {"steps": 600}}))
    benchmark(tmp_path, "train/phantom_lung/unet/seed0", 1e6)
    after = plan.report(where(tmp_path, {**TINY, "training": {"steps": 600}}))

    def line(said: str, begin: str) -> str:
        return next(line for line in said.splitlines() if line.startswith(begin))

    monkeypatch.setattr(settings, "gpus", lambda config: 0)
    assert line(before, "train_model") == line(after, "train_model")
    assert line(before, "  cores") != line(after, "  cores")
    assert "Networks on a GPU are not measured: these runs had none." in after

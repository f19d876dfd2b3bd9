"""What reruns after which change: the real workflow on a tiny grid, run to the end once, and then its dry runs."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from helpers.raw_data import save, write_lidc_slices, zipped
from helpers.workflow import ROOT, TINY, command, merged, snakemake, where
from helpers.workflow import scheduled as dry_run

MAIN = {"make_tables", "plot_samples", "plot_uncertainty_maps", "plot_entropy_by_outcome", "plot_entropy_by_agreement"}
MAIN |= {"plot_ged_by_samples"}
ACTIVE = {"active_tables", "plot_learning_curves", "plot_active_composition", "plot_pairwise_penalty"}
GRID = merged(
    TINY,
    grid={"datasets": ["phantom_lung", "lidc"], "models": ["unet", "mc_dropout"]},
    models={"unet": {"training": {"batch_size": 8, "warmup_steps": 2}}},
    active={
        "datasets": ["phantom_lung"],
        "models": ["unet", "mc_dropout"],
        "strategies": ["random", "entropy"],
        "seeds": [0],
        "start": 6,
        "add": 2,
        "rounds": 1,
        "training": {"steps": 3, "epochs": None},
    },
)
GRID["datasets"]["lidc"] = {"size": 16}


class Finished:
    """A checkout that may be edited, and a folder in which its workflow has run to the end."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.folder = folder / "checkout", folder / "run"
        for name in ("Snakefile", "config.yaml"):
            (self.checkout / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.checkout)
        for name in ("src", "workflow", "profiles", "envs"):
            built = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, self.checkout / name, ignore=built)
        self.raw = folder / "raw" / "LIDC-IDRI-slices.zip"
        write_lidc_slices(self.raw.with_suffix(""))
        zipped(self.raw.with_suffix(""))
        shutil.rmtree(self.raw.with_suffix(""))
        self.grid = {**GRID, "raw_folders": [str(self.raw.parent)]}
        done = snakemake(self.folder, overlay=self.grid, checkout=self.checkout)
        assert done.returncode == 0, done.stdout + done.stderr

    def scheduled(self, *targets: str, **changes: dict) -> dict[str, int]:
        return dry_run(self.folder, *targets, overlay=merged(self.grid, **changes), checkout=self.checkout)

    def segunc(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command `segunc` of this checkout."""
        words = (words[0], *words[1:], *where(self.folder, self.grid, self.checkout))
        environment = {**os.environ, "PYTHONPATH": str(self.checkout / "src")}
        program = [sys.executable, "-m", "segunc.cli", *words]
        return subprocess.run(program, capture_output=True, text=True, cwd=self.checkout, env=environment)

    @contextmanager
    def edited(self, file: str, change: Callable[[str], str] | None = None) -> Iterator[None]:
        """Within it, the code of a file in src/segunc is another one; by default an unused constant is added."""
        path = self.checkout / "src/segunc" / file
        before = path.read_text()
        path.write_text(change(before) if change else f"{before}\n\nEDITED = 1\n")
        try:
            yield
        finally:
            path.write_text(before)

    @contextmanager
    def without_snakemakes_memory(self) -> Iterator[None]:
        """Within it, the folder `.snakemake` is not there."""
        memory, aside = self.folder / ".snakemake", self.folder / "aside"
        memory.rename(aside)
        try:
            yield
        finally:
            shutil.rmtree(memory, ignore_errors=True)
            aside.rename(memory)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Run to the end once; the tests must leave it as it is."""
    return Finished(tmp_path_factory.mktemp("reruns"))


def test_nothing_changed(finished: Finished) -> None:
    assert finished.scheduled() == {}
    assert "Nothing would run" in finished.segunc("why").stdout


def test_touched_or_checked_out_anew(finished: Finished) -> None:
    for path in finished.checkout.rglob("*"):
        path.touch()
    finished.raw.touch()
    assert finished.scheduled() == {}
    with finished.without_snakemakes_memory():
        assert finished.scheduled() == {}


def test_comments_docstrings_and_formatting(finished: Finished) -> None:
    """Every file without its comments, in another format and with other docstrings."""
    sources = {path: path.read_text() for path in (finished.checkout / "src").rglob("*.py")}
    try:
        for path, text in sources.items():
            tree = ast.parse(text)
            for node in ast.walk(tree):
                match node:
                    case ast.Expr(ast.Constant(str())):
                        node.value = ast.Constant("Says something else.")
            path.write_text(f"# A comment.\n{ast.unparse(tree)}\n")
        assert finished.scheduled() == {}
    finally:
        for path, text in sources.items():
            path.write_text(text)


TRAINED = {"train_model": 4, "sample": 4, "evaluate": 4, "baseline_threshold": 2}
LEARNED = {"active_train": 6, "active_test": 6, "pick_with_network": 2, "plot_active_picks": 1}
ONE_MODEL = {"train_model": 2, "sample": 2, "evaluate": 2, "active_train": 3, "active_test": 3, "pick_with_network": 1}
AFTER_PICKS = {"active_train": 2, "active_test": 2, "plot_active_picks": 1}


def of(jobs: dict[str, int], but: set[str]) -> dict[str, int]:
    return {rule: count for rule, count in jobs.items() if rule not in but}


@pytest.mark.parametrize(
    ("file", "cells"),
    [
        ("metrics/ged.py", {"evaluate": 4, "baselines": 2, "baseline_threshold": 2, "active_test": 6}),
        ("statistics.py", {}),
        ("models/mc_dropout.py", {**ONE_MODEL, "plot_active_picks": 0}),
        ("backbone.py", TRAINED | LEARNED),
        ("data/augment.py", TRAINED | LEARNED),
        ("strategies/entropy.py", {"pick_with_network": 2, **AFTER_PICKS}),
        ("strategies/random.py", {"pick_without_network": 1, **AFTER_PICKS}),
    ],
)  # fmt: skip
def test_edited_code_reruns_what_uses_it(finished: Finished, file: str, cells: dict[str, int]) -> None:
    with finished.edited(file):
        jobs = finished.scheduled()
        with finished.without_snakemakes_memory():
            assert finished.scheduled() == jobs
    # Only the picks of the first model are drawn, which is the U-Net.
    expected = {rule: count for rule, count in cells.items() if count}
    assert of(jobs, MAIN | ACTIVE) == expected
    assert ("make_tables" in jobs) == (not file.startswith("strategies"))
    assert "active_tables" in jobs


def test_a_raw_format_reruns_its_datasets_cells(finished: Finished) -> None:
    with finished.edited("data/formats/lidc_slices.py"):
        jobs = finished.scheduled()
    cells = {"prepare": 1, "train_model": 2, "sample": 2, "evaluate": 2, "baselines": 1, "baseline_threshold": 1}
    cells |= {"plot_contact_sheet": 1}
    # The learning curves show the level of the main grid.
    assert of(jobs, MAIN) == {**cells, "plot_learning_curves": 2}


def test_a_figures_code_or_a_label_reruns_figures_that_show_it(finished: Finished) -> None:
    with finished.edited("figures/ged_by_samples.py"):
        assert finished.scheduled() == {"plot_ged_by_samples": 1}
    every = {"plot_entropy_by_outcome": 1, "plot_entropy_by_agreement": 1, "plot_ged_by_samples": 1}
    lidc = {"label": "Lungs", "size": 16}
    jobs = finished.scheduled(datasets={"lidc": lidc})
    assert jobs == {**every, "plot_contact_sheet": 1, "plot_samples": 1, "plot_uncertainty_maps": 1}
    strategy = {"entropy": {"label": "H", "method": "entropy"}}
    jobs = {"plot_learning_curves": 2, "plot_active_composition": 1, "plot_pairwise_penalty": 1, "plot_active_picks": 1}
    assert finished.scheduled(strategies=strategy) == jobs


def test_a_hyper_parameter_or_two_swapped_ones_rerun_one_model(finished: Finished) -> None:
    changed = {"unet": {"training": {"batch_size": 8, "warmup_steps": 3}}}
    swapped = {"unet": {"training": {"batch_size": 2, "warmup_steps": 8}}}
    for model in (changed, swapped):
        jobs = finished.scheduled(models=model)
        expected = {**ONE_MODEL, "baseline_threshold": 2, "plot_active_picks": 1}
        assert of(jobs, MAIN | ACTIVE) == expected
    jobs = finished.scheduled(models={**finished.grid["models"], "mc_dropout": {"options": {"dropout": 0.1}}})
    assert of(jobs, MAIN | ACTIVE) == ONE_MODEL


def test_one_more_seed_model_or_dataset_runs_its_own_cells(finished: Finished) -> None:
    new = {"train_model": 4, "sample": 4, "evaluate": 4, "baseline_threshold": 2, "plot_learning_curves": 2}
    assert of(finished.scheduled(grid={**finished.grid["grid"], "seeds": [0, 1]}), MAIN) == new
    model = {**finished.grid["grid"], "models": ["unet", "mc_dropout", "prob_unet"]}
    jobs = {"train_model": 2, "sample": 2, "evaluate": 2, "plot_learning_curves": 2}
    assert of(finished.scheduled(grid=model), MAIN) == jobs
    dataset = {**finished.grid["grid"], "datasets": ["phantom_lung", "lidc", "phantom_skin"]}
    jobs = finished.scheduled(grid=dataset)
    cells = {"prepare": 1, "baselines": 1, "baseline_threshold": 1, "train_model": 2, "sample": 2, "evaluate": 2}
    cells |= {"plot_contact_sheet": 1}
    assert of(jobs, MAIN) == {**cells, "plot_learning_curves": 2}
    # The samples' figures show diversities from the summary.
    assert (jobs["plot_samples"], jobs["plot_uncertainty_maps"]) == (3, 1)


def test_raw_data_with_an_older_time_stamp(finished: Finished) -> None:
    """A touched file is the same data; a replaced one is other data, whatever its time stamps say."""
    before = finished.raw.read_bytes()
    status = finished.raw.stat()
    try:
        folder = finished.raw.with_suffix("")
        write_lidc_slices(folder)
        save(folder / "LIDC-IDRI-0001/nodule-0/mask-0/slice-0.png", np.full((20, 20), 255, np.uint8))
        zipped(folder)
        shutil.rmtree(folder)
        os.utime(finished.raw, ns=(status.st_atime_ns, status.st_mtime_ns - 10**15))
        jobs = finished.scheduled()
        assert jobs["prepare"] == 1 and jobs["train_model"] == 2
        assert "setting raw.slices changed from" in finished.segunc("why").stdout
        with finished.without_snakemakes_memory():
            assert finished.scheduled() == jobs
    finally:
        finished.raw.write_bytes(before)
    assert finished.scheduled() == {}


def test_without_snakemakes_memory(finished: Finished) -> None:
    """What the results carry decides: nothing reruns, and what has no record does."""
    with finished.without_snakemakes_memory():
        assert finished.scheduled() == {}
        record = finished.folder / "results/provenance/evaluate/lidc/unet/seed0.json"
        text = record.read_text()
        record.unlink()
        try:
            assert finished.scheduled("tables") == {"evaluate": 1, "make_tables": 1}
            assert "nothing says what its results were made from" in finished.segunc("why", "tables").stdout
        finally:
            record.write_text(text)


def test_why_says_it_in_words(finished: Finished) -> None:
    with finished.edited("metrics/ged.py"), finished.without_snakemakes_memory():
        words = finished.segunc("why").stdout
        lines = r"(    .*\n)*"
        edited = rf"src/segunc/metrics/ged\.py changed:\n{lines}    evaluate \(4\): lidc mc_dropout seed 0"
        assert re.search(edited, words)
        assert re.search(rf"input made anew by these:\n{lines}    plot_ged_by_samples\n", words)
    finished.grid["training"] = {**TINY["training"], "learning_rate": 0.25}
    try:
        words = finished.segunc("why").stdout
    finally:
        finished.grid["training"] = TINY["training"]
    assert "setting training.learning_rate changed from 0.003 to 0.25:\n" in words
    figure = finished.folder / "results/figures/ged_by_samples.png"
    aside = figure.rename(figure.with_suffix(".aside"))
    try:
        assert (
            finished.segunc("why").stdout == "results/figures/ged_by_samples.png is missing:\n    plot_ged_by_samples\n"
        )
    finally:
        aside.rename(figure)
    words = finished.segunc("why", "results/models/lidc/unet/seed5/weights.pt").stdout
    assert words == "not made yet:\n    train_model: lidc unet seed 5\n"


def test_accepting_an_edit(finished: Finished) -> None:
    """Nothing reruns, the record says why, and another edit reruns as ever."""
    records = finished.folder / "results/provenance"
    aside = shutil.copytree(records, finished.folder / "records")
    memory = shutil.copytree(finished.folder / ".snakemake", finished.folder / "memory")
    try:
        with finished.edited("metrics/ged.py"):
            assert finished.scheduled()
            done = finished.segunc("accept")
            assert done.returncode == 0, done.stderr
            assert "accepted although src/segunc/metrics/ged.py changed:\n" in done.stdout
            assert finished.scheduled() == {}
            (accepted,) = json.loads((records / "evaluate/lidc/unet/seed0.json").read_text())["accepted"]
            assert list(accepted["code"]) == ["segunc.metrics.ged"] and accepted["when"].startswith("20")
            with finished.edited("scores.py"):
                assert finished.scheduled()["evaluate"] == 4
            nothing = finished.segunc("accept")
            assert nothing.returncode == 1 and "Nothing to accept" in nothing.stdout
        # The accepted edit undone is another edit.
        assert finished.scheduled()["evaluate"] == 4
    finally:
        for path, kept in ((records, aside), (finished.folder / ".snakemake", memory)):
            shutil.rmtree(path)
            kept.rename(path)
    assert finished.scheduled() == {}


def test_only_edits_can_be_accepted(finished: Finished) -> None:
    record = finished.folder / "results/provenance/train/lidc/unet/seed0.json"
    text = record.read_text()
    finished.grid["draws"] = 32
    try:
        with finished.edited("sample.py"):
            done = finished.segunc("accept", "samples")
    finally:
        del finished.grid["draws"]
    assert done.returncode == 1
    assert re.search(r"not accepted, as more than code differs .*:\n    sample \(4\): ", done.stdout)
    assert record.read_text() == text


def test_an_edit_while_jobs_run(finished: Finished, tmp_path: Path) -> None:
    """What began before an edit is made anew, and what began between an edit and its undoing as well."""
    grid = merged(finished.grid, training={"steps": 300, "validate_every": 300})
    target = "results/samples/phantom_lung/unet/seed0.h5"
    words = command(tmp_path, target, overlay=grid, checkout=finished.checkout)
    log = tmp_path / "results/logs/train/phantom_lung/unet/seed0.log"

    def again() -> dict[str, int]:
        return dry_run(tmp_path, target, overlay=grid, checkout=finished.checkout)

    # Steps are reported at once, so that it is known when the training has begun.
    with finished.edited("progress.py", lambda text: text.replace("INTERVAL = 5.0", "INTERVAL = 0.0")):
        with subprocess.Popen(words, cwd=finished.checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
            while run.poll() is None and not (log.exists() and "/300" in log.read_text()):
                time.sleep(0.05)
            with finished.edited("models/unet.py"), finished.edited("sample.py"):
                said, _ = run.communicate()
                assert run.returncode == 0, said
                assert again() == {"train_model": 1, "sample": 1}
        # The network is that of today's code again; its samples were drawn by code that is gone.
        assert again() == {"sample": 1}


def test_code_that_is_no_python_ends_in_one_sentence(finished: Finished) -> None:
    with finished.edited("metrics/ged.py", lambda text: text + "\ndef (:\n"):
        done = snakemake(finished.folder, "--dry-run", overlay=finished.grid, checkout=finished.checkout)
    assert done.returncode != 0
    sentence = r"segunc: .*src/segunc/metrics/ged\.py, line \d+ is no valid Python \(.*\); mend it\."
    assert re.search(sentence, done.stderr)

"""What reruns after which change: dry runs of a study that has run to the end."""

import ast
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from helpers.raw_data import save, write_lidc_slices, zipped
from helpers.workflow import STUDY, Study, command, merged

MAIN = {"tabulate", "plot_sampled_masks", "plot_uncertainty_maps", "plot_entropy_by_outcome"}
MAIN |= {"plot_entropy_by_agreement", "plot_ged_by_samples", "plot_training_curves", "claims_tabulate"}
MAIN |= {"answer", "assemble"}
MAIN |= {"plot_ged_by_votes", "plot_comparisons", "plot_reliability", "plot_risk_coverage"}
MAIN |= {"plot_cost_against_quality"}
ACTIVE = {"active_tabulate", "plot_learning_curves", "plot_active_composition", "plot_pairwise_penalty"}
TRAINED = {"train": 4, "sample": 4, "evaluate": 4}
LEARNED = {"active_train": 6, "active_sample": 6, "active_evaluate": 6, "active_acquire_with_model": 2}
LEARNED |= {"plot_active_picks": 1}
ONE_MODEL = {"train": 2, "sample": 2, "evaluate": 2}
ONE_MODEL |= {"active_train": 3, "active_sample": 3, "active_evaluate": 3, "active_acquire_with_model": 1}
AFTER_PICKS = {"active_train": 2, "active_sample": 2, "active_evaluate": 2, "plot_active_picks": 1}


def of(jobs: dict[str, int], but: set[str]) -> dict[str, int]:
    return {rule: count for rule, count in jobs.items() if rule not in but}


@contextmanager
def all_edited(study: Study, edits: dict[str, Callable[[str], str]]) -> Iterator[None]:
    """Within it, all these files in src/segunc are edited."""
    with ExitStack() as stack:
        for file, edit in edits.items():
            stack.enter_context(study.edited(file, edit))
        yield


def replaced(old: str, new: str) -> Callable[[str], str]:
    """An edit, by a regular expression."""
    return lambda text: re.sub(old, new, text)


def test_nothing_changed(study: Study) -> None:
    assert study.scheduled() == {}
    assert "Nothing would run" in study.segunc("why").stdout


def test_touched_or_checked_out_anew(study: Study) -> None:
    for path in study.checkout.rglob("*"):
        path.touch()
    study.raw.touch()
    assert study.scheduled() == {}
    with study.without_snakemakes_metadata():
        assert study.scheduled() == {}


def test_comments_docstrings_and_formatting(study: Study) -> None:
    """Every file without its comments, in another format and with other docstrings."""
    sources = {path: path.read_text() for path in (study.checkout / "src").rglob("*.py")}
    try:
        for path, text in sources.items():
            tree = ast.parse(text)
            for node in ast.walk(tree):
                match node:
                    case ast.Expr(ast.Constant(str())):
                        node.value = ast.Constant("Another docstring.")
            path.write_text(f"# A comment.\n{ast.unparse(tree)}\n")
        assert study.scheduled() == {}
    finally:
        for path, text in sources.items():
            path.write_text(text)


REPORTING = {
    "runtime/progress.py": replaced(r" left\"", ' to go"'),
    "runtime/stage.py": replaced(r"segunc: \{printable", "segunc stops: {printable"),
    "runtime/records.py": replaced(r"indent=1", "indent=2"),
    "stages/train.py": replaced(r"# CPU cores", "# number of cores"),
    "learning/training.py": replaced(r"best validation loss|stopped after step", "reached"),
    "workflow/changes.py": replaced(r" changed\"", ' was edited"'),
    "commands/reruns.py": replaced(r"Nothing would run", "There is nothing to run"),
}
"""Edits of a note in progress lines, of the last words of a failed stage, of how records are written, of an option's
help, of a log line, and of two phrases of `segunc why`."""


def test_edited_reports_rerun_nothing(study: Study) -> None:
    with all_edited(study, REPORTING):
        assert "There is nothing to run" in study.segunc("why").stdout
        assert study.scheduled() == {}
        with study.without_snakemakes_metadata():
            assert study.scheduled() == {}


@pytest.mark.parametrize(
    ("file", "edit", "cells"),
    [
        (
            "metrics/ged.py",
            replaced(r"2 \* distances\.cross", "3 * distances.cross"),
            {"evaluate": 4, "baselines": 2, "active_evaluate": 6},
        ),
        ("evaluation/statistics.py", None, {}),
        ("models/mc_dropout.py", replaced(r"\.sigmoid\(\)", ".tanh()"), {**ONE_MODEL, "plot_active_picks": 0}),
        ("networks/backbone.py", None, TRAINED | LEARNED),
        ("learning/training.py", replaced(r"loss\.backward", "(2 * loss).backward"), TRAINED | LEARNED),
        ("data/augment.py", None, TRAINED | LEARNED),
        ("strategies/entropy.py", None, {"active_acquire_with_model": 2, **AFTER_PICKS}),
        ("strategies/random.py", None, {"active_acquire": 1, **AFTER_PICKS}),
    ],
)  # fmt: skip
def test_edited_mathematics_reruns_what_uses_it(
    study: Study, file: str, edit: Callable[[str], str] | None, cells: dict[str, int]
) -> None:
    with study.edited(file, edit):
        jobs = study.scheduled()
        with study.without_snakemakes_metadata():
            assert study.scheduled() == jobs
    # Only the picks of the first model are plotted, which is the U-Net.
    expected = {rule: count for rule, count in cells.items() if count}
    assert of(jobs, MAIN | ACTIVE) == expected
    assert ("tabulate" in jobs) == (not file.startswith("strategies"))
    assert "active_tabulate" in jobs


def test_a_raw_format_reruns_its_datasets_cells(study: Study) -> None:
    with study.edited("data/formats/lidc_slices.py"):
        jobs = study.scheduled()
    cells = {"prepare": 1, "train": 2, "sample": 2, "evaluate": 2, "baselines": 1}
    cells |= {"plot_contact_sheet": 1}
    # The learning curves show the level of the main grid.
    assert of(jobs, MAIN) == {**cells, "plot_learning_curves": 2}


def test_a_figures_code_or_a_label_reruns_figures_that_show_it(study: Study) -> None:
    with study.edited("figures/ged_by_samples.py"):
        assert study.scheduled() == {"plot_ged_by_samples": 1, "assemble": 1}
    every = {"plot_entropy_by_outcome": 1, "plot_entropy_by_agreement": 1, "plot_ged_by_samples": 1}
    every |= {"plot_ged_by_votes": 1, "plot_reliability": 1, "plot_risk_coverage": 1, "answer": 1, "assemble": 1}
    every |= {"plot_cost_against_quality": 1}
    lidc = {**STUDY["datasets"]["lidc"], "label": "Lungs"}
    jobs = study.scheduled(datasets={"lidc": lidc})
    own = {"plot_contact_sheet": 1, "plot_sampled_masks": 1, "plot_uncertainty_maps": 1, "plot_training_curves": 1}
    own |= {"plot_comparisons": 1}
    assert jobs == every | own
    strategy = {"entropy": {"label": "H", "method": "entropy"}}
    jobs = {"plot_learning_curves": 2, "plot_active_composition": 1, "plot_pairwise_penalty": 1, "plot_active_picks": 1}
    jobs |= {"assemble": 1}
    assert study.scheduled(strategies=strategy) == jobs


def test_a_hyper_parameter_or_two_swapped_ones_rerun_one_model(study: Study) -> None:
    changed = {"unet": {"training": {"batch_size": 8, "warmup_steps": 3}}}
    swapped = {"unet": {"training": {"batch_size": 2, "warmup_steps": 8}}}
    for model in (changed, swapped):
        jobs = study.scheduled(models=model)
        expected = {**ONE_MODEL, "plot_active_picks": 1}
        assert of(jobs, MAIN | ACTIVE) == expected
    jobs = study.scheduled(models={"mc_dropout": {"options": {"dropout": 0.1}}})
    assert of(jobs, MAIN | ACTIVE) == ONE_MODEL


def test_one_more_seed_model_or_dataset_runs_its_own_cells(study: Study) -> None:
    new = {"train": 4, "sample": 4, "evaluate": 4, "baselines": 2, "plot_learning_curves": 2}
    jobs = study.scheduled(grid={"seeds": [0, 1]})
    assert of(jobs, MAIN) == new and jobs["tabulate"] == 1
    model = {"models": ["unet", "mc_dropout", "prob_unet"]}
    jobs = {"train": 2, "sample": 2, "evaluate": 2, "plot_learning_curves": 2}
    assert of(study.scheduled(grid=model), MAIN) == jobs
    dataset = {"datasets": ["phantom_lung", "lidc", "phantom_skin"]}
    jobs = study.scheduled(grid=dataset)
    cells = {"prepare": 1, "baselines": 1, "train": 2, "sample": 2, "evaluate": 2}
    cells |= {"plot_contact_sheet": 1}
    assert of(jobs, MAIN) == {**cells, "plot_learning_curves": 2}
    # The samples' figures show diversities from the summary.
    assert (jobs["plot_sampled_masks"], jobs["plot_uncertainty_maps"]) == (3, 1)


def test_raw_data_with_an_older_time_stamp(study: Study) -> None:
    """A touched file is the same data; a replaced one is other data, whatever its time stamps say."""
    before = study.raw.read_bytes()
    status = study.raw.stat()
    try:
        folder = study.raw.with_suffix("")
        write_lidc_slices(folder)
        save(folder / "LIDC-IDRI-0001/nodule-0/mask-0/slice-0.png", np.full((20, 20), 255, np.uint8))
        zipped(folder)
        shutil.rmtree(folder)
        os.utime(study.raw, ns=(status.st_atime_ns, status.st_mtime_ns - 10**15))
        jobs = study.scheduled()
        assert jobs["prepare"] == 1 and jobs["train"] == 2
        assert "the raw data 'slices' changed" in study.segunc("why").stdout
        with study.without_snakemakes_metadata():
            assert study.scheduled() == jobs
    finally:
        study.raw.write_bytes(before)
    assert study.scheduled() == {}


def test_without_snakemakes_metadata(study: Study) -> None:
    """Records decide: nothing reruns, and what has no record does. The tables are made of what it makes again."""
    with study.without_snakemakes_metadata():
        assert study.scheduled() == {}
        record = study.folder / "results/records/evaluate/lidc/unet/seed0.json"
        text = record.read_text()
        record.unlink()
        try:
            assert study.scheduled("tables") == {"evaluate": 1}
            assert "there is no record of what its results were made from" in study.segunc("why", "tables").stdout
        finally:
            record.write_text(text)


def test_why_says_it_in_words(study: Study) -> None:
    with study.edited("metrics/ged.py"), study.without_snakemakes_metadata():
        words = study.segunc("why").stdout
        lines = r"(    .*\n)*"
        edited = rf"src/segunc/metrics/ged\.py changed:\n{lines}    evaluate \(4\): lidc mc_dropout seed 0"
        assert re.search(edited, words)
        assert re.search(rf"downstream of the above:\n{lines}    plot_ged_by_samples\n", words)
    words = study.segunc("why", overlay=merged(study.grid, training={"learning_rate": 0.25})).stdout
    assert "setting training.learning_rate changed from 0.003 to 0.25:\n" in words
    figure = study.folder / "results/figures/ged_by_samples.png"
    aside = figure.rename(figure.with_suffix(".aside"))
    try:
        missing, kept = study.segunc("why").stdout.split("of these, restored from what was computed before:\n")
        assert missing == "results/figures/ged_by_samples.png is missing:\n    plot_ged_by_samples\n"
        assert kept == "    plot_ged_by_samples\n"
    finally:
        aside.rename(figure)
    words = study.segunc("why", "results/models/lidc/unet/seed5/weights.pt").stdout
    assert words == "not made yet:\n    train: lidc unet seed 5\n"


def test_accepting_an_edit(study: Study, tmp_path: Path) -> None:
    """Nothing reruns, the record says why, and another edit reruns as ever."""
    study = study.copy(tmp_path / "run")
    with study.edited("metrics/ged.py"):
        assert study.scheduled()
        done = study.segunc("accept")
        assert done.returncode == 0, done.stderr
        assert "accepted, although src/segunc/metrics/ged.py changed:\n" in done.stdout
        assert study.scheduled() == {}
        record = study.folder / "results/records/evaluate/lidc/unet/seed0.json"
        (accepted,) = json.loads(record.read_text())["accepted"]
        assert list(accepted["code"]) == ["segunc.metrics.ged"] and accepted["when"].startswith("20")
        with study.edited("evaluation/scores.py"):
            assert study.scheduled()["evaluate"] == 4
        nothing = study.segunc("accept")
        assert nothing.returncode == 1 and "Nothing to accept" in nothing.stdout
    # The accepted edit undone is another edit.
    assert study.scheduled()["evaluate"] == 4


def test_only_edits_can_be_accepted(study: Study) -> None:
    record = study.folder / "results/records/train/lidc/unet/seed0.json"
    text = record.read_text()
    other = {**merged(study.grid, models={"mc_dropout": {"draws": 32}}), "draws": 32}
    with study.edited("stages/sample.py"):
        done = study.segunc("accept", "samples", overlay=other)
    assert done.returncode == 1
    assert re.search(r"not accepted, because more than code differs .*:\n    sample \(4\): ", done.stdout)
    assert record.read_text() == text


def test_an_edit_while_jobs_run(study: Study, tmp_path: Path) -> None:
    """What began before an edit is made anew, and what began between an edit and its undoing as well."""
    study = study.copy(tmp_path / "run")
    grid = merged(study.grid, training={"steps": 300, "validate_every": 300})
    target = "results/samples/phantom_lung/unet/seed0.h5"
    words = command(study.folder, target, overlay=grid, checkout=study.checkout)
    log = study.folder / "results/logs/train/phantom_lung/unet/seed0.log"
    log.unlink()
    # Steps are reported at once, so that it is known when the training has begun.
    with study.edited("runtime/progress.py", replaced("GROWTH = 5.0", "GROWTH = 0.0")):
        with subprocess.Popen(words, cwd=study.checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
            while run.poll() is None and not (log.exists() and "/300" in log.read_text()):
                time.sleep(0.05)
            with study.edited("models/unet.py"), study.edited("stages/sample.py"):
                said, _ = run.communicate()
                assert run.returncode == 0, said
                assert study.scheduled(target, overlay=grid) == {"train": 1, "sample": 1}
        # The network is that of today's code again; its samples were drawn by code that is gone.
        assert study.scheduled(target, overlay=grid) == {"sample": 1}


def test_invalid_python_ends_in_one_sentence(study: Study) -> None:
    with study.edited("metrics/ged.py", lambda text: text + "\ndef (:\n"):
        done = study.run("--dry-run")
    assert done.returncode != 0
    sentence = r"segunc: .*src/segunc/metrics/ged\.py, line \d+ is not valid Python \(.*\); fix the syntax error\."
    assert re.search(sentence, done.stderr)

"""Killed anywhere, the same command resumes the workflow, repeats no finished job, and ends with the same results."""

import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from helpers.workflow import ROOT, TINY, command, merged, snakemake

GRID = merged(
    TINY,
    grid={"datasets": ["phantom_lung"], "models": ["prob_unet"]},
    datasets={"phantom_lung": {"size": 32, "options": {"patients": 60, "images_per_patient": 4, "size": 32}}},
    training={"steps": 150, "validate_every": 50},
)
SUMMARY = "results/tables/summary.csv"
OUTPUTS = {
    "train": "models",
    "sample": "samples",
    "evaluate": "scores/phantom_lung/prob_unet",
    "tabulate": "tables",
}
"""Folders in `results/` by step, in the order in which they run."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    done = snakemake(folder, "tables", overlay=GRID)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def before(step: str, undisturbed: Path, folder: Path) -> Path:
    """A copy of the undisturbed run as it was before a step; empty before `prepare`."""
    if step in OUTPUTS:
        shutil.copytree(undisturbed, folder)
        steps = list(OUTPUTS)
        for later in steps[steps.index(step) :]:
            shutil.rmtree(folder / "results" / OUTPUTS[later])
            shutil.rmtree(folder / "results/records" / later)
        shutil.rmtree(folder / "results/.kept")  # It would restore what is to be computed.
    return folder


def start(folder: Path) -> subprocess.Popen[bytes]:
    words = command(folder, "tables", overlay=GRID)
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def programs(folder: Path, step: str) -> list[psutil.Process]:
    """The running programs of a step that work in the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if f"segunc.stages.{step}" in process.cmdline() and process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def records(folder: Path) -> dict[Path, int]:
    """When each finished job wrote its record."""
    return {path: path.stat().st_mtime_ns for path in (folder / "results/records").rglob("*.json")}


def finished(folder: Path) -> dict[Path, int]:
    """The same without those of the last seconds, which Snakemake may not have registered when something was killed."""
    return {path: time_ns for path, time_ns in records(folder).items() if time_ns < time.time_ns() - 5 * 10**9}


def resumes(folder: Path, kept: dict[Path, int], undisturbed: Path) -> None:
    """The same command finishes the grid, repeats no job that was finished before, and ends with the same table."""
    done = snakemake(folder, "tables", overlay=GRID)
    assert done.returncode == 0, done.stdout + done.stderr
    after = records(folder)
    assert {path: after[path] for path in kept} == kept
    assert len(after) > len(kept)
    assert (folder / SUMMARY).read_bytes() == (undisturbed / SUMMARY).read_bytes()
    while programs(folder, "train"):
        time.sleep(0.1)
    assert not [*folder.rglob("*.partial*"), *(folder / "results").rglob("checkpoints/**/*.pt")]


@pytest.mark.parametrize("step", ["prepare", "train", "evaluate"])
def test_a_killed_job(tmp_path: Path, undisturbed: Path, step: str) -> None:
    folder = before(step, undisturbed, tmp_path / "run")
    run = start(folder)
    while not programs(folder, step):
        assert run.poll() is None, f"{step} never ran"
        time.sleep(0.1)
    # Any moment is as good as any other; other steps end within a second.
    time.sleep(random.uniform(0, 3 if step == "train" else 0.1))
    while run.poll() is None:
        for job in programs(folder, step):
            with suppress(psutil.NoSuchProcess):
                job.kill()
        time.sleep(0.1)
    assert run.returncode != 0
    resumes(folder, finished(folder), undisturbed)


def test_killed_snakemake(tmp_path: Path, undisturbed: Path) -> None:
    """Snakemake cannot tell whether such a run is still at work elsewhere; it prints what to call if it is not."""
    folder = before("train", undisturbed, tmp_path / "run")
    run = start(folder)
    while not programs(folder, "train"):
        assert run.poll() is None
        time.sleep(0.1)
    time.sleep(random.uniform(0, 4))
    run.kill()
    kept = finished(folder)
    run.wait()
    refused = snakemake(folder, "tables", overlay=GRID)
    assert refused.returncode != 0
    assert "--unlock" in refused.stdout + refused.stderr
    unlocked = snakemake(folder, "tables", "--unlock", overlay=GRID)
    assert unlocked.returncode == 0, unlocked.stderr
    # Its jobs may still run, and end while their successors run; both write the same.
    resumes(folder, kept, undisturbed)


def test_ctrl_c_says_what_was_stopped_and_how_to_continue(tmp_path: Path, undisturbed: Path) -> None:
    folder = before("train", undisturbed, tmp_path / "run")
    words = command(folder, "tables", overlay=merged(GRID, training={"steps": 10**5}))
    # Like a terminal, which signals all programs of a command.
    run = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    log = folder / "results/logs/train/phantom_lung/prob_unet/seed0.log"
    while not log.exists() or "/100000 (" not in log.read_text():
        assert run.poll() is None
        time.sleep(0.1)
    os.killpg(run.pid, signal.SIGINT)
    said = run.communicate(timeout=120)[1].decode()
    assert run.returncode != 0 and len(list(folder.rglob("checkpoints/**/*.pt"))) == 1
    assert said.count("stopping: training runs write their checkpoints\n") == 1
    assert said.count("segunc: stopped while 1 job ran:\n  train phantom_lung prob_unet seed 0\n") == 1
    assert f"To continue:\n  snakemake --cores 2 tables --snakefile {ROOT}/Snakefile --directory {folder}" in said
    assert "Signals" not in said and "failed" not in said

"""Killed anywhere, the same command resumes the workflow, repeats no finished job, and ends with the same results."""

import random
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


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = snakemake(folder, "tables", overlay=GRID)
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / SUMMARY).read_bytes()


def start(folder: Path) -> subprocess.Popen[bytes]:
    words = command(folder, "tables", overlay=GRID)
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def programs(folder: Path, module: str) -> list[psutil.Process]:
    """The running programs of a stage that work in the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if module in process.cmdline() and process.cwd() == str(folder):
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


def resumes(folder: Path, before: dict[Path, int], summary: bytes) -> None:
    """The same command finishes the grid, repeats no job that was finished before, and ends with the same table."""
    done = snakemake(folder, "tables", overlay=GRID)
    assert done.returncode == 0, done.stdout + done.stderr
    after = records(folder)
    assert {path: after[path] for path in before} == before
    assert len(after) > len(before)
    assert (folder / SUMMARY).read_bytes() == summary
    while programs(folder, "segunc.stages.train"):
        time.sleep(0.1)
    assert not [*folder.rglob("*.partial*"), *(folder / "results").rglob("checkpoints/**/*.pt")]


@pytest.mark.parametrize("module", ["segunc.stages.prepare", "segunc.stages.train", "segunc.stages.evaluate"])
def test_a_killed_job(tmp_path: Path, summary: bytes, module: str) -> None:
    run = start(tmp_path)
    while not programs(tmp_path, module):
        assert run.poll() is None, f"{module} never ran"
        time.sleep(0.1)
    # Any moment is as good as any other; other stages end within a second.
    time.sleep(random.uniform(0, 3 if module == "segunc.stages.train" else 0.1))
    while run.poll() is None:
        for job in programs(tmp_path, module):
            with suppress(psutil.NoSuchProcess):
                job.kill()
        time.sleep(0.1)
    assert run.returncode != 0
    resumes(tmp_path, finished(tmp_path), summary)


def test_killed_snakemake(tmp_path: Path, summary: bytes) -> None:
    """Snakemake cannot tell whether such a run is still at work elsewhere; it prints what to call if it is not."""
    run = start(tmp_path)
    while not programs(tmp_path, "segunc.stages.train"):
        assert run.poll() is None
        time.sleep(0.1)
    time.sleep(random.uniform(0, 4))
    run.kill()
    before = finished(tmp_path)
    run.wait()
    refused = snakemake(tmp_path, "tables", overlay=GRID)
    assert refused.returncode != 0
    assert "--unlock" in refused.stdout + refused.stderr
    unlocked = snakemake(tmp_path, "tables", "--unlock", overlay=GRID)
    assert unlocked.returncode == 0, unlocked.stderr
    # Its jobs may still run, and end while their successors run; both write the same.
    resumes(tmp_path, before, summary)

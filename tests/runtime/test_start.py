"""The launcher of jobs: it restores before it imports, and leaves nothing half-written."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.jobs import task, write

from segunc.runtime import kept, records
from segunc.runtime.job import Task, read_task

PROGRAM = """
import sys
from pathlib import Path
from segunc.runtime.files import write_atomically
from segunc.runtime.stage import Job, stage

print("imported")


@stage
def main(
    job: Job,
    *,
    samples: Path,  # file to write
    wait: int = 0,
    checkpoints: Path | None = None,
    killed: str = "",  # the module and function in which the process is killed
) -> None:
    import importlib, os, signal, time
    if checkpoints:
        checkpoints.touch()
        job.afterwards.append(checkpoints.unlink)
    if killed:
        module, name = killed.split(".")
        kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        setattr(importlib.import_module(f"segunc.runtime.{module}"), name, kill)
    with write_atomically(samples) as path:
        path.write_text(str(job.spec["draws"]))
        print("writing", flush=True)
        time.sleep(wait)


if __name__ == "__main__":
    main()
"""


@pytest.fixture
def made(tmp_path: Path) -> Task:
    """A job of a toy program, with one input."""
    (tmp_path / "toy.py").write_text(PROGRAM)
    write(tmp_path, "train", {"weights.pt": "weights"})
    return task(tmp_path, "sample", {"train": "weights.pt"})


def command(of: Task | str, *options: str, program: str = "toy") -> list[str]:
    text = of if isinstance(of, str) else json.dumps(of._asdict())
    return [sys.executable, "-m", "segunc.runtime.start", program, text, *options]


def start(folder: Path, of: Task | str, *options: str, program: str = "toy") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command(of, *options, program=program), capture_output=True, text=True, env=environment)


def test_results_are_restored_before_the_program_is_imported(made: Task, tmp_path: Path) -> None:
    samples = Path(made.outputs["cell.h5"])
    options = ("--samples", str(samples))
    done = start(tmp_path, made, *options)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout == "imported\nwriting\n"
    before = records.read(made.record)
    assert before is not None and before.spec == {"draws": 16} and samples.read_text() == "16"
    # Not even the options are looked at.
    (tmp_path / "toy.py").write_text("raise RuntimeError('it is imported')\n")
    samples.unlink()
    Path(made.record).unlink()
    done = start(tmp_path, made, "--none-of-these")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "sample: restored, as computed before from the same settings, code and inputs\n"
    record = records.read(made.record)
    assert record is not None and samples.read_text() == "16"
    assert record.restored and record._replace(restored="") == before
    # Forced, it is imported, which fails; nothing is recorded.
    Path(made.record).unlink()
    done = start(tmp_path, made._replace(anew=True), *options)
    assert done.returncode == 1 and "RuntimeError: it is imported" in done.stderr
    assert not Path(made.record).exists()


def test_mistakes_of_the_user_are_one_sentence(made: Task, tmp_path: Path) -> None:
    (tmp_path / "train/weights.pt").write_text("WEIGHTS")
    done = start(tmp_path, made, "--samples", made.outputs["cell.h5"])
    sentence = "its content differs from what was written); run the same command again, which makes it anew."
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == f"segunc: {tmp_path}/train/weights.pt is damaged ({sentence}\n"


def test_a_task_may_be_in_a_file(made: Task, tmp_path: Path) -> None:
    (tmp_path / "task.txt").write_text(json.dumps(made._asdict()))
    assert read_task(f"@{tmp_path}/task.txt") == read_task(json.dumps(made._asdict())) == made


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_stopped_job_leaves_nothing_that_counts(made: Task, tmp_path: Path, sent: signal.Signals) -> None:
    words = command(made, "--samples", made.outputs["cell.h5"], "--wait", "60")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    while process.stdout.readline() != "writing\n":
        assert process.poll() is None
    process.send_signal(sent)
    _, said = process.communicate(timeout=20)
    assert said == "" and process.returncode == (-sent if sent == signal.SIGKILL else 128 + sent)
    folder = Path(made.outputs["cell.h5"]).parent
    left = [path.name for path in folder.iterdir()]
    assert left == ([f".cell.{process.pid}.partial.h5"] if sent == signal.SIGKILL else [])
    assert not Path(made.record).exists() and kept.entries(Path(made.keep)) == []
    # The next run is as if nothing had been.
    assert start(tmp_path, made, "--samples", made.outputs["cell.h5"]).returncode == 0
    assert [path.name for path in folder.iterdir()] == ["cell.h5"]


@pytest.mark.parametrize("killed", ["kept.remember", "records.write", ""])
def test_checkpoints_stay_until_the_results_are_recorded(made: Task, tmp_path: Path, killed: str) -> None:
    options = ("--samples", made.outputs["cell.h5"], "--checkpoints", str(tmp_path / "checkpoint"))
    done = start(tmp_path, made, *options, "--killed", killed)
    assert done.returncode == (-signal.SIGKILL if killed else 0), done.stderr
    assert (tmp_path / "checkpoint").exists() == bool(killed)
    assert Path(made.record).exists() == (not killed)


def test_it_imports_nothing_that_takes_time() -> None:
    program = "import sys, segunc.runtime.start; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert not {"numpy", "torch", "h5py", "pandas", "pydantic", "snakemake"} & set(loaded)
    of_segunc = [name for name in loaded if name.startswith("segunc.")]
    assert all(name.startswith("segunc.runtime") for name in of_segunc)

"""The workflow on a cluster: a real SLURM with one node, and what goes wrong on clusters.

apt-get install --no-install-recommends slurm-wlm munge
pytest -m slurm
"""

import importlib.util
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from helpers.slurm_node import Node, call, node, wait_for, why_not
from helpers.workflow import ROOT, TINY, merged, snakemake, where

from segunc.data.store import read_ids

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.skipif(
        importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
        reason="no snakemake-executor-plugin-slurm here (pip install -e '.[test]')",
    ),
]

GPUS, CAP = 4, 2
SUMMARY = "results/tables/summary.csv"
GRID = merged(
    TINY,
    grid={"datasets": ["phantom_lung"], "models": ["unet", "mc_dropout"]},
    active={
        "datasets": ["phantom_lung"],
        "models": ["unet"],
        "strategies": ["random", "entropy"],
        "seeds": [0],
        "start": 4,
        "add": 2,
        "rounds": 1,
        "training": {"steps": 4, "epochs": None},
    },
)
# Long enough to be disturbed in the middle.
LONG = merged(TINY, grid={"datasets": ["phantom_lung"], "models": ["unet"]}, training={"steps": 1500})
FOLDER = "phantom_lung/unet/seed0"
MINUTE = 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node(tmp_path_factory.mktemp("slurm") / "node", gpus=GPUS) as one:
        yield one


@pytest.fixture(scope="module")
def undisturbed(cluster: Node, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The long training, on this machine alone."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    done = snakemake(folder, "models", overlay=LONG)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module", autouse=True)
def out_of_time(cluster: Node, undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> "Run":
    """A training that is too long for its first attempt, whose minute runs while other tests do.

    A fast machine would end it before. It is suspended; SLURM wakes it up when its time is over.
    """
    limit = "train:runtime=2**(attempt-1)"
    folder = prepared(undisturbed, tmp_path_factory.mktemp("out_of_time") / "run")
    run = Run(cluster, folder, "models", "--retries", "5", "--set-resources", limit, overlay=LONG)
    run.wait_for(run.training, "a training")
    if training := run.training():
        training.suspend()
    return run


def prepared(undisturbed: Path, folder: Path) -> Path:
    """A copy of the undisturbed run as it was before the training."""
    shutil.copytree(undisturbed, folder)
    # What is kept would be restored.
    for name in (".kept", "models", "records/train", "logs/train"):
        shutil.rmtree(folder / "results" / name)
    return folder


def words(folder: Path, *arguments: str, overlay: dict) -> list[str]:
    """The profile as it is delivered, but for how often jobs are asked after and the number of GPUs."""
    profile = ["--workflow-profile", str(ROOT / "profiles/slurm"), "--slurm-init-seconds-before-status-checks", "5"]
    profile += ["--resources", f"gpu={CAP}"]
    return [sys.executable, "-m", "snakemake", *arguments, *profile, *where(folder, overlay)]


class Run:
    """A run of the workflow on the cluster, in the background."""

    def __init__(self, cluster: Node, folder: Path, *arguments: str, overlay: dict) -> None:
        command = words(folder, *arguments, overlay=overlay)
        self.cluster, self.folder, self.output = cluster, folder, folder / "output.txt"
        with self.output.open("w") as file:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)

    def wait_for(self, done: Callable[[], object], what: str) -> None:
        def done_or_over() -> object:
            assert self.process.poll() is None, f"{what}: never\n{self.output.read_text()}"
            return done()

        wait_for(done_or_over, what, seconds=10 * MINUTE)

    def ends_well(self) -> str:
        """Waits for the end; returns what Snakemake printed."""
        assert self.process.wait(timeout=15 * MINUTE) == 0, self.output.read_text()
        return self.output.read_text()

    def jobs(self, rule: str = "") -> list[dict[str, str]]:
        """Its jobs, those of one rule or all, in the order of submission."""
        jobs = [job for job in self.cluster.jobs() if job["WorkDir"] == str(self.folder)]
        return [job for job in jobs if job["Comment"].startswith(f"rule_{rule}")]

    def slurm_logs(self, rule: str) -> list[str]:
        """Of the jobs of this rule that failed, in the order of submission."""
        paths = (self.folder / f".snakemake/slurm_logs/rule_{rule}").rglob("*.log")
        return [path.read_text() for path in sorted(paths, key=lambda path: int(path.stem))]

    def training(self) -> psutil.Process | None:
        """The program that trains now, once it has reported progress."""
        log = self.folder / f"results/logs/train/{FOLDER}.log"
        if not log.exists() or not re.search(r": \d+/\d+ ", log.read_text()):
            return None
        for process in psutil.process_iter(["cmdline", "cwd", "name"]):
            facts = process.info
            trains = facts["name"].startswith("python") and "segunc.stages.train" in (facts["cmdline"] or [])
            if trains and facts["cwd"] == str(self.folder):
                return process
        return None


def table(folder: Path) -> str:
    return (folder / SUMMARY).read_text()


def weights(folder: Path) -> bytes:
    return (folder / f"results/models/{FOLDER}/weights.pt").read_bytes()


def seconds(stamp: str) -> float:
    return time.mktime(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S"))


def at_once(jobs: list[dict[str, str]]) -> int:
    """The largest number of jobs that ran at the same time."""
    begin = [(seconds(job["StartTime"]), 1) for job in jobs]
    end = [(seconds(job["EndTime"]), -1) for job in jobs]
    running = [change for _, change in sorted([*begin, *end])]
    return max(sum(running[: k + 1]) for k in range(len(running)))


def resumes_where_it_was_stopped(run: Run) -> None:
    """The second training reports that it resumes at the step at which the first one stopped."""
    stopped = re.findall(r"stopped after step (\d+)", run.slurm_logs("train")[0])
    log = (run.folder / f"results/logs/train/{FOLDER}.log").read_text()
    assert stopped and re.findall(r"resuming at step (\d+)/1500", log) == stopped[:1], log


def test_the_grid_ends_as_on_one_machine(cluster: Node, tmp_path: Path) -> None:
    run = Run(cluster, tmp_path / "cluster", overlay=GRID)
    local = snakemake(tmp_path / "local", "tables", overlay=GRID)
    assert local.returncode == 0, local.stdout + local.stderr
    run.ends_well()
    assert table(tmp_path / "cluster") == table(tmp_path / "local")
    for file in ("tables/active_summary.csv", "figures/ged_by_samples.png", "figures/active_composition.png"):
        assert (tmp_path / "cluster/results" / file).exists()

    jobs = run.jobs()
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    on_gpus = [job for job in jobs if job.get("TresPerJob") == "gres:gpu:1"]
    asked = [job["Comment"].split("_wildcards")[0] for job in on_gpus]
    assert sorted(set(asked)) == [
        "rule_active_acquire_with_model",
        "rule_active_sample_active_evaluate_active_sample",
        "rule_active_train",
        "rule_sample_evaluate_sample",
        "rule_train",
    ]
    assert {job["Partition"] for job in on_gpus} == {"gpu"}
    # SLURM would give three at a time; `resources: gpu` allows two.
    assert at_once(on_gpus) == CAP
    # Acquisitions without a model and figures are no jobs, a sampling and its evaluation are one: of 2 models, and of 3
    # rounds.
    grouped = {"rule_sample_evaluate_sample", "rule_active_sample_active_evaluate_active_sample"}
    assert len(jobs) == len({job["Comment"] for job in jobs} - grouped) + 2 + 3
    again = snakemake(tmp_path / "cluster", "tables", "--dry-run", overlay=GRID)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_cancelled_training_resumes_with_twice_the_memory(cluster: Node, undisturbed: Path, tmp_path: Path) -> None:
    run = Run(cluster, prepared(undisturbed, tmp_path / "run"), "models", overlay=LONG)
    run.wait_for(run.training, "a training")
    call("scancel", run.jobs("train")[-1]["JobId"])
    run.ends_well()
    first, second = run.jobs("train")
    assert (first["JobState"], second["JobState"]) == ("CANCELLED", "COMPLETED")
    memory = [int(job["MinMemoryNode"].removesuffix("M")) for job in (first, second)]
    assert memory[1] == 2 * memory[0]
    resumes_where_it_was_stopped(run)
    assert weights(run.folder) == weights(undisturbed)


def test_a_requeued_training_resumes(cluster: Node, undisturbed: Path, tmp_path: Path) -> None:
    """As after a preemption: SLURM stops the job and starts it again itself, under the same id."""
    run = Run(cluster, prepared(undisturbed, tmp_path / "run"), "models", overlay=LONG)
    run.wait_for(run.training, "a training")
    number = run.jobs("train")[-1]["JobId"]
    call("scontrol", "requeue", number)
    run.wait_for(lambda: run.jobs("train")[-1]["JobState"] == "PENDING", "the queue")
    # It would begin in two minutes.
    call("scontrol", "update", f"JobId={number}", "StartTime=now")
    said = run.ends_well()
    [job] = run.jobs("train")
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1")
    assert "Error in rule" not in said
    assert "resuming at step" in (run.folder / f"results/logs/train/{FOLDER}.log").read_text()
    assert weights(run.folder) == weights(undisturbed)


def test_a_training_that_runs_out_of_time_resumes(out_of_time: Run, undisturbed: Path) -> None:
    out_of_time.ends_well()
    jobs = out_of_time.jobs("train")
    states = [job["JobState"] for job in jobs]
    assert states[0] == "TIMEOUT" and states[-1] == "COMPLETED"
    assert [job["TimeLimit"] for job in jobs][:2] == ["00:01:00", "00:02:00"]
    if len(states) == 2:
        resumes_where_it_was_stopped(out_of_time)
    assert weights(out_of_time.folder) == weights(undisturbed)


@pytest.mark.parametrize("daemon", ["slurmd", "slurmctld"])
def test_a_daemon_dies_and_comes_back(cluster: Node, undisturbed: Path, tmp_path: Path, daemon: str) -> None:
    """The jobs do not notice, and Snakemake waits."""
    run = Run(cluster, prepared(undisturbed, tmp_path / "run"), "models", overlay=LONG)
    run.wait_for(run.training, "a training")
    cluster.stop(daemon, signal.SIGKILL)
    time.sleep(5)
    cluster.start_slurmd() if daemon == "slurmd" else cluster.start_slurmctld()
    run.ends_well()
    assert [job["JobState"] for job in run.jobs("train")] == ["COMPLETED"]
    assert weights(run.folder) == weights(undisturbed)


def test_a_job_that_needs_more_memory_gets_it(cluster: Node, undisturbed: Path, tmp_path: Path) -> None:
    # Too little for torch, enough for Snakemake.
    limit = "train:mem_mb=250*16**(attempt-1)"
    run = Run(cluster, prepared(undisturbed, tmp_path / "run"), "models", "--set-resources", limit, overlay=LONG)
    run.ends_well()
    first, second = run.jobs("train")
    assert first["JobState"] in ("OUT_OF_MEMORY", "CANCELLED", "FAILED") and second["JobState"] == "COMPLETED"
    assert "exceeded memory limit" in run.slurm_logs("train")[0]
    assert [job["MinMemoryNode"] for job in (first, second)] == ["250M", "4000M"]
    assert weights(run.folder) == weights(undisturbed)


def test_imported_predictions_are_scored_without_a_gpu(cluster: Node, undisturbed: Path, tmp_path: Path) -> None:
    folder, predictions = tmp_path / "run", tmp_path / "predictions"
    shutil.copytree(undisturbed, folder)
    predictions.mkdir()
    ids, size = read_ids(folder / "results/data/phantom_lung.h5", seed=0)
    for image_id in ids["test"]:
        np.save(predictions / f"{image_id.replace('/', '__')}.npy", np.full(size, 0.25, np.float32))
    theirs = {"label": "Theirs", "method": "predictions", "options": {"folder": str(predictions)}}
    grid = {"datasets": ["phantom_lung"], "models": ["theirs"]}
    run = Run(cluster, folder, SUMMARY, overlay=merged(TINY, grid=grid, models={"theirs": theirs}))
    run.ends_well()
    assert "theirs" in table(folder)
    (imported,) = run.jobs("import_predictions")
    assert imported["JobState"] == "COMPLETED"
    assert imported["Partition"] == "cpu"
    assert not any("gpu" in job.get("TresPerJob", "") for job in run.jobs())

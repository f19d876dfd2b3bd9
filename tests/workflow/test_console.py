"""What a run prints: lines of jobs, what is left, why jobs failed."""

import io
import json
import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from segunc.workflow import job_logs
from segunc.workflow.console import Console, Failure, Remaining, stopped, summary


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_time_left_follows_what_the_run_has_measured(clock: Clock) -> None:
    expected = {1: ("train", 10.0), 2: ("train", 10.0), 3: ("train", 20.0), 4: ("plot", 5.0)}
    remaining = Remaining(expected, clock)
    assert remaining.text() == "0 of 4 jobs" and remaining.work() == 45
    for job in (1, 2):
        remaining.start(job)
    clock.time = 30
    assert [remaining.finish(job) for job in (1, 2)] == [30, 30]
    # Trainings take three times as long as expected; so does a figure, of which none is measured yet.
    assert remaining.work() == 60 + 15
    # Two at a time: 60 s of work in 30 s.
    assert remaining.text() == "2 of 4 jobs, 44%, about 0:38 left"
    remaining.start(3)
    clock.time = 50
    assert remaining.work() == 40 + 15
    clock.time = 200  # It takes longer than all others.
    assert remaining.work() == 15
    remaining.finish(3)
    assert remaining.finish(4) == 0  # It was never started: its results were there.
    assert remaining.text() == "4 of 4 jobs"


def test_a_failed_job_is_not_running(clock: Clock) -> None:
    remaining = Remaining({1: ("train", 10.0)}, clock)
    remaining.start(1)
    clock.time = 4
    assert remaining.work() == 6
    remaining.fail(1)
    assert remaining.work() == 10  # It is started again, or not at all.


def log_record(event: str | None, message: str = "", **facts: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"levelno": logging.INFO, "msg": message, "event": event, **facts})


@pytest.fixture
def console(clock: Clock) -> Console:
    others = logging.StreamHandler(io.StringIO())
    return Console(io.StringIO(), others, Remaining({1: ("train", 10.0), 2: ("train", 10.0)}, clock))


def lines(console: Console) -> list[str]:
    """What it printed, without the time of day, and what it passed on."""
    return [line[9:] for line in console.stream.getvalue().splitlines()] + console.others.stream.getvalue().splitlines()


def started(job: int, folder: Path, message: str = "") -> logging.LogRecord:
    record, log = folder / f"records/{job}.json", folder / f"{job}.log"
    of_job = {"jobid": job, "rule_name": "train", "wildcards": {"dataset": "lidc", "seed": str(job)}}
    written = [] if message else [folder / "weights.pt", record]
    return log_record("job_info", **of_job, output=written, log=[log], rule_msg=message)


def test_a_line_per_start_and_end(console: Console, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    console.emit(started(1, tmp_path))
    clock.time = 80
    console.emit(log_record("job_finished", job_id=1))
    assert lines(console) == [
        "start    train lidc seed 1",
        "done     train lidc seed 1 (80.0 s); 1 of 2 jobs, 50%, about 1:20 left",
    ]


@pytest.mark.parametrize(
    ("record", "cost"),
    [
        ({"cost": {"seconds": 12.34, "cpu_seconds": 20, "max_rss_mb": 310}}, "12.3 s, 310 MB"),
        ({"cost": {"seconds": 754, "cpu_seconds": 20, "max_rss_mb": 1024}}, "12:34, 1024 MB"),
        ({"cost": {"seconds": 754, "cpu_seconds": 20, "max_rss_mb": 1024}, "restored": "2026-11-26"}, "restored"),
    ],
)
def test_time_and_memory_are_those_of_the_record(
    console: Console, made_record: dict[str, Any], tmp_path: Path, record: dict[str, Any], cost: str
) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records/1.json").write_text(json.dumps({**made_record, **record}))
    console.emit(started(1, tmp_path))
    console.emit(log_record("job_finished", job_id=1))
    assert lines(console)[1].startswith(f"done     train lidc seed 1 ({cost})")


@pytest.fixture
def made_record() -> dict[str, Any]:
    texts = dict.fromkeys(("finished", "identity", "key", "restored", "job", "command"), "")
    return {"spec": {}, "code": {}, "versions": {}, "inputs": {}, "outputs": {}, "cost": {}, "accepted": [], **texts}


def test_progress_is_printed_more_and_more_rarely(clock: Clock, tmp_path: Path) -> None:
    expected = dict.fromkeys(range(400), ("train", 1.0))
    console = Console(io.StringIO(), logging.StreamHandler(io.StringIO()), Remaining(expected, clock))
    times = []
    for job in range(399):
        console.emit(started(job, tmp_path))
        clock.time += 1
        console.emit(log_record("job_finished", job_id=job))
        if "left" in lines(console)[-1]:
            times.append(clock.time)
    pauses = [after - before for before, after in pairwise(times)]
    assert times[0] == 1 and pauses[0] == 5 and pauses == sorted(pauses) and pauses[-1] == 60


def test_chatter_is_left_out_and_all_else_passed_on(console: Console) -> None:
    for message in ("Select jobs to execute...", "Execute 2 jobs...", "1 of 2 steps (50%) done", "Nothing to be done"):
        console.emit(log_record(None, message))
    console.emit(log_record("progress", "1 of 2"))
    console.emit(log_record("shellcmd", "Shell command: python -m segunc", shellcmd="python -m segunc"))
    assert lines(console) == ["Nothing to be done", "Shell command: python -m segunc"]


def test_a_target_is_printed_by_its_message(console: Console, tmp_path: Path) -> None:
    console.emit(started(1, tmp_path, message="All tables are in results/tables"))
    console.emit(log_record("job_finished", job_id=1))
    assert lines(console) == ["All tables are in results/tables"]


def test_a_failure_has_the_sentence_of_its_log(console: Console, tmp_path: Path) -> None:
    said = "segunc: train lidc seed 1: the loss is nan; lower learning_rate.\n"
    (tmp_path / "1.log").write_text(f"train: on cpu\n{said}")
    console.emit(started(1, tmp_path))
    wall = (
        "RuleException:\nCalledProcessError in file train.smk:\nCommand 'set -e\n...' returned non-zero exit status 1."
    )
    console.emit(log_record("error", wall))
    console.emit(log_record("job_error", jobid=1))
    assert lines(console)[1] == "failed   train lidc seed 1: the loss is nan; lower learning_rate."


def test_ctrl_c_says_that_checkpoints_are_written(console: Console, tmp_path: Path) -> None:
    console.emit(started(1, tmp_path))
    console.emit(log_record(None, "Terminating processes on user request, this might take some time."))
    console.emit(log_record("error", "RuleException:\nCommand 'set -e\n...' died with <Signals.SIGINT: 2>."))
    console.emit(log_record("job_error", jobid=1))
    (said,) = lines(console)[1:]
    assert said == "stopping: training runs write their checkpoints"


def test_a_stopped_run_says_what_was_stopped_and_how_to_continue() -> None:
    command = "snakemake --cores 2"
    assert stopped(["train a seed 0"], command).splitlines() == [
        "segunc: stopped while 1 job ran:",
        "  train a seed 0",
        "What has finished is kept, and training runs resume from their checkpoints. To continue:",
        "  snakemake --cores 2",
    ]
    many = stopped([f"train a seed {i}" for i in range(30)], command).splitlines()
    assert many[0] == "segunc: stopped while 30 jobs ran:" and many[11] == "  and 20 more" and len(many) == 14
    assert stopped([], command).startswith("segunc: stopped; no job was running any more.\n")


def test_summary_lists_each_failure(tmp_path: Path) -> None:
    log, other = tmp_path / "1.log", tmp_path / "2.log"
    log.write_text("segunc: the loss is nan.\n")
    other.write_text("".join(f"line {i}\n" for i in range(50)))
    said = summary([Failure("train a seed 0", log), Failure("train b seed 0", other)])
    assert said.startswith("segunc: 2 jobs failed:\n  train a seed 0: the loss is nan.\n    log: ")
    assert "line 49" in said and "line 29\n" not in said and "line 30\n" in said
    assert said.endswith("the same command continues with what is left.")
    assert summary([]) == ""


@pytest.mark.parametrize(
    ("log", "again"),
    [
        ("segunc: the loss is nan; lower learning_rate.\n", False),
        ("segunc: store.h5 changed while this job was reading it; run the same command again.\n", True),
        ("Traceback\nMemoryError\n", True),
        ("", True),
    ],
)
def test_what_cannot_succeed_is_not_tried_again(tmp_path: Path, log: str, again: bool) -> None:
    (tmp_path / "x.log").write_text(log)
    assert job_logs.may_succeed_again(tmp_path / "x.log") == again
    assert job_logs.may_succeed_again(tmp_path / "none.log")

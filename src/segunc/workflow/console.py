"""What a run prints: a line for each job that starts, ends or fails, and how much of the run is left."""

import logging
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from segunc.cells import Cell
from segunc.runtime import records
from segunc.runtime.progress import FIRST, GROWTH, LONGEST, clock
from segunc.runtime.records import Record
from segunc.workflow import job_logs

CHATTER = re.compile(r"Select jobs to execute|Execute \d+ jobs|Storing output in storage|\d+ of \d+ steps")
"""Beginnings of messages of Snakemake that say nothing beside the lines of jobs."""
COMMAND = re.compile(r"Command '.*' (returned non-zero exit status|died with)", re.DOTALL)
"""In Snakemake's message about a job that failed, with all its words; the line of the job says why."""
STOPPING = "Terminating processes on user request"
"""Snakemake's message after Ctrl-C."""
MOST_STOPPED = 10
"""Jobs that a stopped run lists by name."""


class Remaining:
    """How much of a run is left, in seconds of its jobs: expected, and corrected by what finished jobs took.

    `expected` is by job id: the rule, and seconds on this machine that `segunc plan` expects, above 0.
    """

    def __init__(self, expected: Mapping[int, tuple[str, float]], now: Callable[[], float] = time.monotonic) -> None:
        self.expected = dict(expected)
        self.now = now
        self.began = now()
        self.started: dict[int, float] = {}
        self.taken: defaultdict[str, float] = defaultdict(float)
        """Seconds that finished jobs took, by rule."""
        self.planned: defaultdict[str, float] = defaultdict(float)
        """Seconds that they were expected to take, by rule."""
        self.done = 0

    def start(self, job: int) -> None:
        self.started[job] = self.now()

    def finish(self, job: int) -> float:
        """Counts a job as done; returns the seconds since it started."""
        seconds = self.now() - self.started.pop(job, self.now())
        rule, planned = self.expected.pop(job, ("", 0.0))
        self.taken[rule] += seconds
        self.planned[rule] += planned
        self.done += 1
        return seconds

    def fail(self, job: int) -> None:
        """Counts a job as not running; it may start again."""
        self.started.pop(job, None)

    def work(self) -> float:
        """Seconds of jobs that are left, if one ran at a time."""
        overall = sum(self.taken.values()) / planned if (planned := sum(self.planned.values())) else 1.0
        left = 0.0
        for job, (rule, seconds) in self.expected.items():
            factor = self.taken[rule] / self.planned[rule] if self.planned[rule] else overall
            running = self.now() - self.started[job] if job in self.started else 0.0
            left += max(seconds * factor - running, 0.0)
        return left

    def text(self) -> str:
        """`12 of 40 jobs, 35%, 4:10 left`; the time as long as no job has finished is not known."""
        total, left = self.done + len(self.expected), self.work()
        facts = [f"{self.done} of {total} jobs"]
        running = sum(self.now() - began for began in self.started.values())
        worked = sum(self.taken.values()) + running
        if self.done and left:
            at_a_time = max(worked / max(self.now() - self.began, 1e-9), 1e-9)
            facts += [f"{worked / (worked + left):.0%}", f"about {clock(left / at_a_time)} left"]
        return ", ".join(facts)


class Started(NamedTuple):
    """What is known of a job since it started."""

    name: str
    record: Path | None
    log: Path | None


class Console(logging.StreamHandler[Any]):
    """Prints what Snakemake logs: lines of jobs in place of Snakemake's paragraphs, all else by `others`."""

    def __init__(self, stream: Any, others: logging.Handler, remaining: Remaining) -> None:
        super().__init__(stream)
        self.others = others
        self.remaining = remaining
        self.jobs: dict[int, Started] = {}
        self.stopped = False
        """Whether the user stopped the run."""
        self.said, self.pause = float("-inf"), FIRST
        """When the progress was printed last, and the seconds until it is printed again."""
        for one in others.filters:
            self.addFilter(one)

    def emit(self, record: logging.LogRecord) -> None:
        event, message = getattr(record, "event", None), record.getMessage()
        handled = {"job_info": self._start, "job_finished": self._finish, "job_error": self._fail}.get(str(event))
        if handled is not None:
            if line := handled(record.__dict__):
                self._print(line)
        elif message.startswith(STOPPING):
            self.stopped = True
            self._print("stopping: training runs write their checkpoints")
        elif str(event) == "error" and COMMAND.search(message):
            pass
        elif str(event) not in ("shellcmd", "progress", "group_info", "group_error") and not CHATTER.match(message):
            self.others.emit(record)
        elif str(event) == "shellcmd" and record.__dict__.get("cmd") is None:
            self.others.emit(record)  # Filtered unless --printshellcmds is given.

    def _print(self, line: str) -> None:
        self.stream.write(f"{time.strftime('%H:%M:%S')} {line}\n")
        self.flush()

    def _start(self, facts: Mapping[str, Any]) -> str:
        job = facts["jobid"]
        name = f"{facts['rule_name']} {Cell.of(facts['wildcards'])}".rstrip()
        written = [Path(str(path)) for path in facts["output"]]
        record = next((path for path in written if "records" in path.parts and path.suffix == ".json"), None)
        self.jobs[job] = Started(name, record, next((Path(str(path)) for path in facts["log"]), None))
        self.remaining.start(job)
        # A target has no program; its message says what is there when it ends.
        return f"start    {name}" if record else str(facts["rule_msg"] or "")

    def _finish(self, facts: Mapping[str, Any]) -> str:
        job = self.jobs.get(facts["job_id"], Started("", None, None))
        seconds = self.remaining.finish(facts["job_id"])
        if job.record is None:
            return ""
        line = f"done     {job.name} ({_cost(records.read(job.record), seconds)})"
        if self.remaining.now() - self.said >= self.pause and self.remaining.expected:
            if self.said > float("-inf"):
                self.pause = min(GROWTH * self.pause, LONGEST)
            self.said = self.remaining.now()
            line += f"; {self.remaining.text()}"
        return line

    def _fail(self, facts: Mapping[str, Any]) -> str:
        job = self.jobs.get(facts["jobid"])
        self.remaining.fail(facts["jobid"])
        if job is None or self.stopped:
            return ""
        return f"failed   {job.name}: {_reason(job.name, job.log)}"


def _cost(record: Record | None, seconds: float) -> str:
    """Time and memory of a finished job, from its record; `seconds` is the time since it was started."""
    if record is None:
        return f"{seconds:.1f} s"
    if record.restored:
        return "restored"
    taken = record.cost["seconds"]
    return f"{f'{taken:.1f} s' if taken < 60 else clock(taken)}, {record.cost['max_rss_mb']:.0f} MB"


def _reason(name: str, log: Path | None) -> str:
    """Why a job failed; messages that begin with its name do not repeat it."""
    return job_logs.reason(log).removeprefix(f"{name}: ") if log else "it has no log"


class Failure(NamedTuple):
    """A job that failed."""

    name: str
    log: Path | None


def stopped(running: Sequence[str], command: str) -> str:
    """What a run says that the user stopped: the jobs that were running, and the command that continues."""
    lines = ["segunc: stopped; no job was running any more."]
    if running:
        lines = [f"segunc: stopped while {_jobs(len(running))} ran:", *(f"  {name}" for name in running[:MOST_STOPPED])]
    if len(running) > MOST_STOPPED:
        lines.append(f"  and {len(running) - MOST_STOPPED} more")
    lines.append("What has finished is kept, and training runs resume from their checkpoints. To continue:")
    return "\n".join([*lines, f"  {command}"])


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def summary(failures: Sequence[Failure]) -> str:
    """What a run that did not succeed leaves to do: for each failed job its cell, reason and log."""
    if not failures:
        return ""
    lines = [f"segunc: {_jobs(len(failures))} failed:"]
    for failure in failures:
        lines.append(f"  {failure.name}: {_reason(failure.name, failure.log)}")
        lines += [f"    log: {failure.log}"] if failure.log else []
    return "\n".join([*lines, "What has finished is kept: the same command continues with what is left."])


def say(text: str) -> None:
    """Prints to stderr, whatever Snakemake's verbosity."""
    if text:
        print(f"\n{text}", file=sys.stderr, flush=True)

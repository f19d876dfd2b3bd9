"""What Snakemake would run, and why: its dry run, and what the records say about each job."""

import json
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from segunc.runtime import records as provenance


class Job(NamedTuple):
    """A job that would run."""

    rule: str
    wildcards: dict[str, str]
    folder: Path
    """In which Snakemake works."""
    record: Path
    """Of what its results were made from."""
    outputs: list[str]
    """Paths in the folder."""
    reason: str
    """Snakemake's own."""
    spec: str
    code: str
    """Params of today."""

    @property
    def cell(self) -> str:
        """The values of its wildcards: `phantom_lung unet seed 0`."""
        return " ".join(f"{k} {v}" if k in ("seed", "round") else v for k, v in self.wildcards.items())


class Cause(NamedTuple):
    """Why a job would run."""

    settings: list[str]
    """Settings that differ from those of the results, a phrase each."""
    code: list[str]
    """Source files, likewise."""
    files: list[str]
    """What is missing, newer, or not recorded, likewise."""
    derived: bool
    """Its input is made anew by another job."""

    @property
    def phrases(self) -> list[str]:
        return [*self.settings, *self.code, *self.files]


def jobs_to_run(arguments: Sequence[str]) -> list[Job]:
    """The jobs of `snakemake --dry-run <arguments>`, without targets; SystemExit if Snakemake fails, which says why."""
    from snakemake import cli

    jobs: list[Job] = []
    logger = logging.getLogger("snakemake.logging")

    def collect(event: logging.LogRecord) -> bool:
        """Takes the jobs out of Snakemake's messages and lets through what is wrong."""
        info: dict[str, Any] = event.__dict__
        if str(info.get("event", "")).endswith("job_info") and (info.get("shellcmd") or ""):
            jobs.append(_job(info))
        return event.levelno >= logging.WARNING

    logger.addFilter(collect)
    try:
        cli.main(["--dry-run", *arguments])
    except SystemExit as end:
        if end.code:
            raise
    finally:
        logger.removeFilter(collect)
    return jobs


def _job(info: dict[str, Any]) -> Job:
    options = shlex.split(info["shellcmd"])
    spec, code, record = (options[options.index(name) + 1] for name in ("--spec", "--code", "--provenance"))
    wildcards = {name: str(value) for name, value in info["wildcards"].items()}
    # Snakemake is in its --directory while it reports.
    folder = Path.cwd()
    return Job(info["rule_name"], wildcards, folder, folder / record, list(info["output"]), info["reason"], spec, code)


NO_RECORD = "nothing says what its results were made from"
SAYINGS = (
    ("Updated input files: ", "{} changed or is newer"),
    ("Incomplete output files: ", "the run that made it was cut off"),
    ("Set of input files has changed", "it collects other files than before"),
    ("Code has changed", "the command of its rule changed"),
    ("Software environment", "its software environment changed"),
)
"""How Snakemake's reasons begin, and what they mean here; what follows the beginning may be part of it."""


def cause(job: Job) -> Cause:
    """Why a job would run: Snakemake's reason, and what differs between its record and today's settings and code."""
    record = provenance.read(job.record)
    missing = [path for path in job.outputs if not (job.folder / path).exists()]
    derived = "Input files updated by another job" in job.reason
    if len(missing) == len(job.outputs):
        return Cause([], [], ["not made yet"], derived)
    if record is None:
        return Cause([], [], [NO_RECORD], derived)
    settings = provenance.changed_settings(record.spec, json.loads(job.spec))
    if not settings and not provenance.same_settings(record, job.spec):
        settings = ["the order of its settings changed"]
    code = provenance.changed_code(record.code, provenance.code_of(job.code))
    files = [f"{path} is missing" for path in missing]
    for part in job.reason.split("; "):
        files += [saying.format(part.removeprefix(begins)) for begins, saying in SAYINGS if part.startswith(begins)]
    if not (settings or code or files or derived):
        files = ["a parameter of its rule changed" if "Params have changed" in job.reason else job.reason]
    return Cause(settings, code, files, derived)

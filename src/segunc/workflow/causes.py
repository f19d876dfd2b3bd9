"""Why the jobs of a dry run would run, in words."""

import json
from typing import NamedTuple

from segunc.runtime import records
from segunc.runtime.code_digest import code_of
from segunc.workflow.changes import changed_code, changed_settings
from segunc.workflow.snakemake_internals import PendingJob


class Cause(NamedTuple):
    """Why a job would run."""

    settings: list[str]
    """Settings that differ from those of the results, one phrase each."""
    code: list[str]
    """Source files that changed, one phrase each."""
    files: list[str]
    """What is missing, newer or not recorded, one phrase each."""
    derived: bool
    """Whether another job will write its input."""

    @property
    def phrases(self) -> list[str]:
        return [*self.settings, *self.code, *self.files]


NO_RECORD = "there is no record of what its results were made from"
PHRASES = (
    ("Updated input files: ", "{} changed or is newer"),
    ("Incomplete output files: ", "the run that wrote it was interrupted"),
    ("Set of input files has changed", "its set of input files changed"),
    ("Code has changed", "the command of its rule changed"),
    ("Software environment", "its software environment changed"),
)
"""How Snakemake's reasons begin, and what they mean; `{}` is the rest of the reason."""


def cause(job: PendingJob) -> Cause:
    """Why a job would run: Snakemake's reason, and how its record differs from the current settings and code."""
    record = records.read(job.record)
    missing = [path for path in job.outputs if not (job.folder / path).exists()]
    derived = "Input files updated by another job" in job.reason
    if len(missing) == len(job.outputs):
        return Cause([], [], ["not made yet"], derived)
    if record is None:
        return Cause([], [], [NO_RECORD], derived)
    settings = changed_settings(record.spec, json.loads(job.spec))
    if not settings and not records.same_settings(record, job.spec):
        settings = ["the order of its settings changed"]
    code = changed_code(record.code, code_of(job.code))
    files = [f"{path} is missing" for path in missing]
    for part in job.reason.split("; "):
        files += [phrase.format(part.removeprefix(begins)) for begins, phrase in PHRASES if part.startswith(begins)]
    if not (settings or code or files or derived):
        files = ["a parameter of its rule changed" if "Params have changed" in job.reason else job.reason]
    return Cause(settings, code, files, derived)

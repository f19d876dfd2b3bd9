"""`segunc why` and `segunc accept`: the reasons of pending jobs, and edits that change no result."""

import subprocess
import sys
from collections.abc import Iterable, Sequence
from itertools import takewhile

from segunc.cells import Cell
from segunc.runtime.code_digest import code_of
from segunc.workflow.causes import cause
from segunc.workflow.changes import accept as accept_code
from segunc.workflow.snakemake_internals import PendingJob, pending_jobs

SHOWN = 6
"""Most jobs of a rule that are named."""
CHUNK = 500
"""Files per call of Snakemake: the length of a command line is limited."""


def why(arguments: Sequence[str]) -> int:
    """Explains why each job of `snakemake <arguments>` would run."""
    groups: dict[str, list[PendingJob]] = {}
    for job in pending_jobs(arguments):
        groups.setdefault("; ".join(cause(job).phrases), []).append(job)
    if not groups:
        print("Nothing would run: all results exist and were made from the current settings, code and data.")
    following = groups.pop("", [])
    for phrases, group in groups.items():
        print(f"{phrases}:")
        _print_jobs(group)
    if following:
        print("downstream of the above:" if groups else "downstream of other jobs:")
        _print_jobs(following)
    return 0


def accept(arguments: Sequence[str]) -> int:
    """Marks results as up to date when only source code changed.

    Their records get the current digests and list the accepted edit.
    """
    accepted, others, files = [], [], set()
    for job in pending_jobs(arguments):
        reasons = cause(job)
        if reasons.code and not reasons.settings and not reasons.files:
            accepted.append(job)
            files |= set(reasons.code)
        elif reasons.phrases:
            others.append(job)
    _forget([path for job in accepted for path in job.outputs], arguments)
    # Last: if this is interrupted before, the records still differ, and the same command accepts them.
    for job in accepted:
        accept_code(job.record, code_of(job.code))
    if accepted:
        print(f"accepted, although {', '.join(sorted(files))}:")
        _print_jobs(accepted)
    else:
        print("Nothing to accept: no job would run because of edited code alone.")
    if others:
        print("not accepted, because more than code differs (see segunc why):")
        _print_jobs(others)
    return 0 if accepted else 1


def _forget(outputs: Sequence[str], arguments: Sequence[str]) -> None:
    """Removes Snakemake's own metadata of these files, so that their records decide."""
    # What follows a bare `--` are targets.
    options = list(takewhile(lambda word: word != "--", arguments))
    for start in range(0, len(outputs), CHUNK):
        command = [sys.executable, "-m", "snakemake", *options, "--cleanup-metadata", *outputs[start : start + CHUNK]]
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
        # It fails if there is no metadata, as after .snakemake/ was deleted.
        if done.returncode and "metadata was not present" not in done.stderr:
            sys.exit(f"segunc: snakemake --cleanup-metadata failed; run segunc accept again.\n{done.stderr}")


def _print_jobs(jobs: Iterable[PendingJob]) -> None:
    by_rule: dict[str, list[str]] = {}
    for job in jobs:
        by_rule.setdefault(job.rule, []).append(str(Cell.of(job.wildcards)))
    for rule, names in by_rule.items():
        count = f" ({len(names)})" if len(names) > 1 else ""
        shown = ", ".join(sorted(names)[:SHOWN])
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        print(f"    {rule}{count}{': ' if shown else ''}{shown}{more}")

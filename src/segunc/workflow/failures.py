"""After `snakemake --keep-going`: which results could not be made, and why."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any


def missing_results(dag: Any, jobs: Iterable[Any], failed: Iterable[Any]) -> dict[str, str] | None:
    """Paths of the results of `jobs`, which were not finished, each with the sentence of the job that failed for it.

    None if a job was not begun although nothing failed that it needs: then the run was stopped from outside. `dag` and
    the jobs are Snakemake's, `failed` those that failed themselves.
    """
    culprits = {job for item in failed for job in (item.jobs if item.is_group() else [item])}
    missing = {}
    for job in jobs:
        # The nearest: the job itself, then what it needs.
        culprit = next((other for other in dag.bfs(dag.dependencies, job) if other in culprits), None)
        if culprit is None:
            return None
        missing.update({str(path): _sentence(culprit) for path in job.output})
    return missing


def _sentence(job: Any) -> str:
    cell = " ".join(str(value) for value in job.wildcards)
    return f"{job.rule.name} {cell} failed: {_last_words(Path(job.log[0]))}"


def _last_words(log: Path) -> str:
    """What a stage says at its end in its log: its own sentence if there is one, or the last line."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return f"{log} is not there"
    spoken = [line.strip() for line in lines if line.strip()]
    own = [line.removeprefix("segunc: ") for line in spoken if line.startswith("segunc: ")]
    return [f"{log} is empty", *spoken, *own][-1]

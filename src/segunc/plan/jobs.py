"""The jobs of a grid: a walk from the targets through the rules' own outputs and input functions.

Snakemake's own DAG needs the raw data, and minutes for a hundred thousand jobs. The walk needs neither, and it
knows a new rule without an entry. `tests/plan/test_jobs.py` compares jobs, edges and outputs with Snakemake's.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from segunc.cells import Cell
from segunc.config import specs
from segunc.config.schema import Config
from segunc.runtime import records
from segunc.runtime.errors import UserError
from segunc.workflow.parsed_rules import RECORD, Rules

FROM_RAW = "prepare"
"""The rule that reads raw data. The walk ends there, so that the data may be missing, and is not read."""


class Job(NamedTuple):
    """A job of the grid."""

    rule: str
    cell: Cell
    reads: Sequence[str]
    """Files of other jobs that it reads, in the order of the rule."""
    needs: Sequence[int]
    """Positions of these jobs."""
    outputs: Sequence[str]
    """Files that it writes, without its record."""
    targets: Sequence[str]
    """Those of them that are targets."""
    record: str


def jobs_of(rules: Rules, targets: Sequence[str]) -> list[Job]:
    """The jobs that the targets (named ones, or files) need, in topological order.

    Raises UserError for a target that is neither.
    """
    jobs: list[Job] = []
    position: dict[str, int] = {}
    """Of the job that writes a file."""

    def visit(path: str) -> None:
        """Appends the job that writes a file behind all jobs that it needs, without recursion: chains may be long."""
        stack = [path]
        inputs: dict[str, list[str]] = {}
        while stack:
            path = stack[-1]
            found = None if path in position else rules.producer(path)
            if found is None:
                stack.pop()
                continue
            rule, wildcards = found
            if path not in inputs:
                inputs[path] = rules.inputs(rule, wildcards) if rule != FROM_RAW else []
                waiting = [file for file in inputs[path] if file not in position]
                if waiting:
                    stack += waiting
                    continue
            stack.pop()
            cell, outputs = Cell.of(wildcards), rules.outputs(rule, wildcards)
            record = cell.fill(rules.pattern(rule, RECORD))
            reads = [file for file in inputs[path] if file in position]
            needs = list(dict.fromkeys(position[file] for file in reads))
            position.update(dict.fromkeys(outputs, len(jobs)))
            jobs.append(Job(rule, cell, reads, needs, [file for file in outputs if file != record], [], record))

    asked: set[str] = set()
    for target in targets or [rules.default_target]:
        if target in rules.targets:
            files = rules.inputs(target, {})
        elif rules.producer(target):
            files = [target]
        else:
            raise UserError(
                f"target {target} is not a file of the configured grid and not one of "
                f"{', '.join(sorted(rules.targets))}; give one of these, or add its cell to the grid."
            )
        asked.update(files)
        for file in files:
            visit(file)
    return [job._replace(targets=[file for file in job.outputs if file in asked]) for job in jobs]


def done(rules: Rules, config: Config, jobs: Sequence[Job], folder: Path) -> list[bool]:
    """For each job: whether it would not run, by the same rules as in `segunc.workflow.needrun`.

    Whether raw data or the bytes of a result changed is not checked, because that may take minutes: Snakemake does.
    """
    made: dict[str, tuple[str, str]] = {}
    """Label and identity of each file."""
    missing = {path for job in jobs for path in job.outputs if not (folder / path).exists()}
    if missing.issuperset(path for job in jobs for path in job.outputs):
        return [False] * len(jobs)
    stale = []
    for job in jobs:
        record, wildcards = records.read(folder / job.record), job.cell.wildcards
        if job.rule == FROM_RAW:
            spec = specs.prepare(config, job.cell, record.spec.get("raw", {}) if record else {})
        else:
            spec = rules.param(job.rule, "spec", wildcards)
        code, command = rules.param(job.rule, "code", wildcards), rules.command(job.rule, wildcards)
        identity = records.identity(json.loads(spec), code, command, [made[path] for path in job.reads])
        labels = [label for label in rules.labels(job.rule) if label != RECORD]
        made.update((path, (label, identity)) for path, label in zip(job.outputs, labels, strict=True))
        exists = not missing.issuperset(job.outputs)
        stale.append(exists and (record is None or record.identity != identity))
    runs: list[bool] = []
    needed: set[str] = set()
    for job, is_stale in reversed(list(zip(jobs, stale, strict=True))):
        runs.append(is_stale or not missing.isdisjoint(job.targets) or not needed.isdisjoint(job.outputs))
        needed |= missing.intersection(job.reads) if runs[-1] else set()
    return [not it for it in reversed(runs)]

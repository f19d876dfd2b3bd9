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
from segunc.workflow.snakemake_internals import Rules

FROM_RAW = "prepare"
"""The rule that reads raw data. The walk ends there, so that the data may be missing, and is not read."""


class Job(NamedTuple):
    """A job of the grid."""

    rule: str
    cell: Cell
    needs: Sequence[int]
    """Positions of the jobs whose results it reads."""
    outputs: Sequence[str]
    """Files that it writes, without its record."""
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
            record = cell.fill(rules.pattern(rule, "record"))
            needs = list(dict.fromkeys(position[file] for file in inputs[path] if file in position))
            position.update(dict.fromkeys(outputs, len(jobs)))
            jobs.append(Job(rule, cell, needs, [file for file in outputs if file != record], record))

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
        for file in files:
            visit(file)
    return jobs


def done(rules: Rules, config: Config, jobs: Sequence[Job], folder: Path) -> list[bool]:
    """For each job: whether its results exist and were made from the current settings and code, like those it reads.

    Whether raw data or the bytes of a result changed is not checked, because that may take minutes: Snakemake does.
    """
    result: list[bool] = []
    identities: list[str] = []
    producers = {path: position for position, job in enumerate(jobs) for path in job.outputs}
    for job in jobs:
        current = all(result[need] for need in job.needs)
        record = records.read(folder / job.record) if current else None
        identity = ""
        if record is not None:
            wildcards = job.cell.wildcards
            if job.rule == FROM_RAW:
                spec = specs.prepare(config, job.cell, record.spec.get("raw", {}))
            else:
                spec = rules.param(job.rule, "spec", wildcards)
            files = [] if job.rule == FROM_RAW else rules.inputs(job.rule, wildcards)
            sources = [(path, rules.source(path)) for path in files if path in producers]
            inputs = [(source.label, identities[producers[path]]) for path, source in sources if source]
            code, cell = rules.param(job.rule, "code", wildcards), rules.param(job.rule, "cell", wildcards)
            identity = records.identity(json.loads(spec), code, cell, inputs)
            current = record.identity == identity and all((folder / path).exists() for path in job.outputs)
        identities.append(identity)
        result.append(record is not None and current)
    return result

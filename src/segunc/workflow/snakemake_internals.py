"""The only module that uses undocumented parts of Snakemake.

Each function has a test in `tests/workflow/test_snakemake_internals.py`, which fails if a new version of Snakemake
changes what it relies on. Links are to the sources of Snakemake 9, where the part is.
"""

import inspect
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segunc.runtime.errors import UserError
from segunc.runtime.records import made_from

_workflow: Any = None
"""The workflow whose Snakefile this process read last."""


def finish_rules(workflow: Any) -> None:
    """Called by the Snakefile after its last rule.

    - Each rule with a record gets an input function that forces outdated jobs (`_force_if_outdated`).
    - Signatures are cached: Snakemake calls `inspect.signature` on each function once per job, and Python
      recomputes it each time unless the function has the attribute `__signature__`.
      https://github.com/snakemake/snakemake/blob/main/src/snakemake/common/__init__.py (get_function_params)
    """
    global _workflow
    _workflow = workflow
    for rule in workflow.rules:
        if hasattr(rule.output, "record"):
            rule.set_input(_force_if_outdated(workflow, rule))
        for function in filter(callable, [*rule.input, *rule.params, *rule.resources.values()]):
            function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]


def _force_if_outdated(workflow: Any, rule: Any) -> Callable[[Any], list[str]]:
    """An input function that adds no input: Snakemake calls it for each job before it decides what to run.

    It forces a job whose results were made from other settings or code than the current ones if Snakemake does not
    know: after `.snakemake/` was deleted, or if code was edited while jobs waited and then changed back. Forced files
    are in the set `dag.forcefiles`, which is read for each job after its input is known.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/dag.py (DAG.update_needrun)
    """

    def force_if_outdated(wildcards: Any) -> list[str]:
        # Once per job, and a Path would cost a third of it.
        if not any(os.path.exists(path.apply_wildcards(wildcards)) for path in rule.output):  # noqa: PTH110
            return []
        record = rule.output.record.apply_wildcards(wildcards)
        today = [_value(param, wildcards) for param in (rule.params.spec, rule.params.code)]
        known = workflow.persistence.metadata(record)
        noticed = known is not None and not set(map(repr, today)) <= set(known.params or [])
        if not noticed and not made_from(record, *today):
            workflow.dag.forcefiles.add(record)
        return []

    force_if_outdated.adds_no_input = True  # type: ignore[attr-defined]
    return force_if_outdated


def _value(param: Any, wildcards: Any) -> Any:
    return param(wildcards) if callable(param) else param


@dataclass(frozen=True)
class Unfinished:
    """A run with --keep-going in which jobs failed, as `onerror` finds it."""

    jobs: list[Any]
    """Jobs that had to run and did not finish."""
    failed: set[Any]
    """Jobs that failed themselves."""
    failed_ancestor: Callable[[Any], Any]
    """The nearest failed job that a job waited for, itself first; None if there is none."""
    snakefile: str


def unfinished(workflow: Any) -> Unfinished | None:
    """What a run with --keep-going left unfinished; None without --keep-going.

    https://github.com/snakemake/snakemake/blob/main/src/snakemake/scheduling/job_scheduler.py (failed)
    """
    if not workflow.execution_settings.keep_going:
        return None
    dag = workflow.dag
    failed = {job for item in workflow.scheduler.failed for job in (item.jobs if item.is_group() else [item])}

    def failed_ancestor(job: Any) -> Any:
        return next((other for other in dag.bfs(dag.dependencies, job) if other in failed), None)

    return Unfinished(list(dag.needrun_jobs()), failed, failed_ancestor, workflow.main_snakefile)


@dataclass(frozen=True)
class PendingJob:
    """A job of a dry run."""

    rule: str
    wildcards: dict[str, str]
    outputs: list[str]
    """Relative to Snakemake's working directory."""
    record: Path
    reason: str
    """Why Snakemake would run it."""
    spec: str
    code: str
    folder: Path
    """Snakemake's working directory."""


def pending_jobs(arguments: Sequence[str]) -> list[PendingJob]:
    """The jobs of `snakemake --dry-run <arguments>`, without targets.

    Raises SystemExit after Snakemake has printed its error. A dry run marks each reason as finished.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/jobs.py (Reason)
    """
    dag = _run_quietly(["--dry-run", *arguments]).dag
    folder = _parse_arguments(arguments)[1]
    return [
        PendingJob(
            job.rule.name,
            dict(job.wildcards.items()),
            [str(path) for path in job.output],
            folder / job.output.record,
            # The dry run has marked it: `Finished (was: Missing output files: ...)`.
            str(dag.reason(job)).removeprefix("Finished (was: ").removesuffix(")"),
            job.params.spec,
            job.params.code,
            folder,
        )
        for job in dag.needrun_jobs(exclude_finished=False)
        if hasattr(job.output, "record")
    ]


class Rules:
    """The rules of a workflow, for a walk from files to the jobs that make them, without Snakemake's DAG.

    That works before the raw data is there, and in a tenth of the time.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/rules.py (Rule)
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/io/__init__.py (_IOFile.regex)
    """

    def __init__(self, workflow: Any) -> None:
        self.names = [rule.name for rule in workflow.rules]
        self._rules = {rule.name: rule for rule in workflow.rules}
        # Most paths differ in their first characters, which is cheaper to find out than by a regular expression.
        self._patterns = [
            (str(path).partition("{")[0], re.compile(path.regex()).fullmatch, rule.name)
            for rule in workflow.rules
            for path in rule.output
        ]
        self._benchmarks = [
            (re.compile(rule.benchmark.regex()).fullmatch, rule.name) for rule in workflow.rules if rule.benchmark
        ]
        # `rules.X.output` as in a Snakefile: without the constraints that Snakemake writes into the braces.
        self._outputs = {rule.name: getattr(workflow.globals["rules"], rule.name).output for rule in workflow.rules}
        self.targets = [rule.name for rule in workflow.rules if not rule.output]
        self.default_target = workflow.default_target

    def producer(self, path: str) -> tuple[str, dict[str, str]] | None:
        """Name and wildcards of the rule that makes a file; None if no rule does."""
        for prefix, match, name in self._patterns:
            if path.startswith(prefix) and (found := match(path)):
                return name, found.groupdict()
        return None

    @property
    def benchmarks(self) -> str:
        """The folder of all benchmarks."""
        return os.path.commonpath(str(self._rules[name].benchmark).partition("{")[0] for _, name in self._benchmarks)

    def benchmarked(self, path: str) -> tuple[str, dict[str, str]] | None:
        """Name and wildcards of the rule whose benchmark a file is; None if it is that of no rule."""
        found = ((name, found.groupdict()) for match, name in self._benchmarks if (found := match(path)))
        return next(found, None)

    def inputs(self, rule: str, wildcards: Mapping[str, str]) -> list[str]:
        """The files that a job reads."""
        files: list[str] = []
        named = _Wildcards(wildcards)
        for item in self._rules[rule].input:
            function = _function_of(item)
            if function is None:
                files.append(str(item).format_map(wildcards))
            elif not getattr(function, "adds_no_input", False):
                found = function(named)
                found = found.values() if isinstance(found, Mapping) else found
                files += [found] if isinstance(found, str) else found
        return files

    def outputs(self, rule: str, wildcards: Mapping[str, str]) -> list[str]:
        """The files that a job writes, its record among them."""
        return [path.format_map(wildcards) for path in self._outputs[rule]]

    def pattern(self, rule: str, output: str) -> str:
        """The pattern of a rule's output."""
        return getattr(self._outputs[rule], output)

    def param(self, rule: str, name: str, wildcards: Mapping[str, str]) -> Any:
        """A param of a job, of those that need nothing but its wildcards."""
        return _value(getattr(self._rules[rule].params, name), _Wildcards(wildcards))

    def threads(self, rule: str) -> int:
        """CPU cores of a job, with --set-threads applied."""
        return int(self._rules[rule].resources["_cores"].value)


class _Wildcards(dict[str, str]):
    """Wildcards as Snakemake passes them to functions: by attribute and by key."""

    __getattr__ = dict.__getitem__


def _function_of(item: Any) -> Any:
    """The input function behind an item of a rule's input; None for a path.

    https://github.com/snakemake/snakemake/blob/main/src/snakemake/rules.py (Rule.apply_input_function)
    """
    if callable(item):
        return item
    return getattr(item._file, "callable", None) or (item._file if callable(item._file) else None)


@dataclass(frozen=True)
class Parsed:
    """What `snakemake <arguments>` would work on."""

    rules: Rules
    config: Any
    """Of segunc (`segunc.config.schema.Config`)."""
    device: str
    """Where networks run: auto, cpu or cuda."""
    targets: list[str]
    folder: Path
    """Snakemake's working directory."""


def parse(arguments: Sequence[str]) -> Parsed:
    """Reads the Snakefile with the config, directory and targets of a command line, and builds no DAG."""
    workflow = _run_quietly(["--list-rules", *arguments])
    names = workflow.globals
    return Parsed(Rules(workflow), names["experiment"], names["device"], *_parse_arguments(arguments))


def _parse_arguments(arguments: Sequence[str]) -> tuple[list[str], Path]:
    """The targets of a command line that Snakemake has accepted, and its working directory.

    https://github.com/snakemake/snakemake/blob/main/src/snakemake/cli.py (parse_args)
    """
    from snakemake import cli

    # It reports which profile it reads, for a second time.
    with redirect_stderr(io.StringIO()):
        _, args = cli.parse_args(list(arguments))
    return list(args.targets), Path(args.directory or ".")


def _run_quietly(arguments: Sequence[str]) -> Any:
    """Runs Snakemake in this process, passes on only warnings and errors, and returns its workflow.

    Raises SystemExit after Snakemake has printed its error, UserError if it read no Snakefile (as for --version).
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/cli.py (main)
    """
    from snakemake import cli

    global _workflow
    _workflow = None
    # A dry run prints its errors to stdout.
    printed = io.StringIO()
    with _only_warnings(logging.getLogger("snakemake.logging")), redirect_stdout(printed):
        try:
            cli.main(list(arguments))
        except SystemExit as end:
            if end.code:
                sys.stderr.write(printed.getvalue())
                raise
    if _workflow is None:
        raise UserError("with these arguments, snakemake does not read segunc's Snakefile; see snakemake --help.")
    return _workflow


@contextmanager
def _only_warnings(logger: logging.Logger) -> Iterator[None]:
    def is_warning(event: logging.LogRecord) -> bool:
        return event.levelno >= logging.WARNING

    logger.addFilter(is_warning)
    try:
        yield
    finally:
        logger.removeFilter(is_warning)

"""Which jobs run: the records of results decide, in place of Snakemake.

One of the modules that use undocumented parts of Snakemake (`snakemake_internals`).
"""

import json
import os
import shlex
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from segunc.cells import collects
from segunc.runtime import kept, records
from segunc.runtime.digests import Memory
from segunc.runtime.errors import UserError
from segunc.workflow import console
from segunc.workflow.argument_files import expanded
from segunc.workflow.broken_code import STARTER, check_command, check_imports
from segunc.workflow.broken_metrics import check_metrics
from segunc.workflow.causes import phrases
from segunc.workflow.parsed_rules import RECORD, Rules, value_of
from segunc.workflow.rule_functions import exit_on_user_error
from segunc.workflow.states import Facts, State, state_of

MEMORY = Path(".snakemake/segunc/outputs.json")
"""Digests of results that were read before."""
reads_everything = False
"""Whether results are read although they were read before (`segunc check`)."""
FORCED = "SEGUNC_FORCED"
"""Environment variable of jobs: rules and files that the user forced (--forcerun, --forceall, --force), as JSON."""


class _Judge:
    """Finds for each job of a DAG whether its results are up to date."""

    def __init__(self, dag: Any, memory: Memory | None) -> None:
        self._dag, self.memory = dag, memory
        self._labels: dict[Any, dict[str, str]] = {}
        self._facts: dict[Any, Facts] = {}
        self._identities: dict[Any, str] = {}
        self._states: dict[Any, State | None] = {}
        self._rules = Rules(dag.workflow)

    def facts(self, job: Any) -> Facts:
        """What is known about a job with a record; the identities of its inputs' jobs are known already."""
        if job not in self._facts:
            self._facts[job] = self._facts_of(job)
        return self._facts[job]

    def _facts_of(self, job: Any) -> Facts:
        sources = {}
        for other, files in self._dag.dependencies[job].items():
            labels, identity = self._labels_of(other), self.identity(other)
            for path in map(str, files):
                sources[path] = labels[path], identity
        paths = list(map(str, job.input))
        for path in paths:
            # The rule that makes it may be left out (--allowed-rules).
            if path not in sources and (source := self._rules.source(path)):
                record = records.read(source.record)
                sources[path] = source.label, record.identity if record else ""
        outputs = {label: path for path, label in self._labels_of(job).items()}
        rule, wildcards = job.rule, job.wildcards
        return Facts(
            value_of(rule.params.spec, wildcards),
            value_of(rule.params.code, wildcards),
            self._rules.command(rule.name, wildcards),
            [(path, *sources[path]) for path in paths if path in sources],
            outputs,
            outputs.pop(RECORD),
        )

    def _labels_of(self, job: Any) -> dict[str, str]:
        """Labels of a job's outputs by path."""
        if job not in self._labels:
            self._labels[job] = dict(zip(map(str, job.output), self._rules.labels(job.rule.name), strict=True))
        return self._labels[job]

    def identity(self, job: Any) -> str:
        """The identity of a job's results; without recursion, since rounds make long chains."""
        waiting = [job]
        while waiting:
            job = waiting[-1]
            left = [other for other in self._dag.dependencies[job] if other not in self._identities]
            if left:
                waiting += left
                continue
            waiting.pop()
            if job not in self._identities:
                self._identities[job] = self.facts(job).identity if has_record(job) else job.rule.name
        return self._identities[job]

    def state(self, job: Any) -> State | None:
        """The state of a job; None if it has no record or none of its results exist."""
        if job not in self._states:
            # Most jobs of a new grid have no results, and need no identity.
            exists = has_record(job) and any(os.path.exists(file) for file in job.output)  # noqa: PTH110
            self._states[job] = state = state_of(self.facts(job), self.memory) if exists else None
            if state is not None and state.record is not None and state.record.identity == state.identity:
                state.remade = self._remade(job, state)
                before = map(self.state, self._dag.dependencies[job])
                state.follows = any(other.remade or other.follows for other in before if other is not None)
        return self._states[job]

    def _remade(self, job: Any, state: State) -> list[str]:
        """Inputs that stand with other bytes than those that the results of a job were made from."""
        found = []
        assert state.record is not None
        labels = {path: label for path, label, _ in state.facts.inputs}
        for other, files in self._dag.dependencies[job].items():
            producer = self.state(other)
            for path in map(str, files):
                if producer and producer.record and producer.current and path in labels:
                    read = state.record.inputs.get(path)
                    if read is None or read["sha256"] != producer.record.outputs[labels[path]]["sha256"]:
                        found.append(path)
        return found


def has_record(job: Any) -> bool:
    """Whether the rule of a job has a record."""
    return hasattr(job.output, RECORD)


async def update_needrun(dag: Any, create_inventory: bool = False) -> None:
    """Decides which jobs run, in place of Snakemake's method of this name.

    Snakemake decides by time stamps, which no setting turns off, and by metadata in `.snakemake`. Here a job runs
    if some of its results exist but are not up to date; if the user forces it; and if a result is missing that is a
    target or is read by a job that runs. A job whose results are up to date does not run because those of another job
    are made again: its record says that they would be the same.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/dag.py (DAG.update_needrun)
    """
    is_main = dag.workflow.is_main_process
    if create_inventory and is_main:
        await dag.workflow.iocache.mtime_inventory(dag.jobs)
    for jobs in (dag._needrun, dag._checkpoint_jobs, dag._n_until_ready, dag._ready_jobs):
        jobs.clear()
    candidates = [job for level in dag.toposorted() for job in level if not dag.finished(job)]
    await _spread(dag, await _first_reasons(dag, candidates), set(candidates))
    for job in dag._needrun:
        dag._n_until_ready[job] = sum(other in dag._needrun for other in dag.dependencies[job])
    dag._len = len(dag._finished | dag._needrun)
    if is_main and create_inventory:
        os.environ[FORCED] = json.dumps(sorted({rule.name for rule in dag.forcerules} | set(map(str, dag.forcefiles))))
        _check_code(dag)
        if not dag.workflow.dryrun:
            _set_aside(dag)


async def _first_reasons(dag: Any, candidates: list[Any]) -> list[Any]:
    """The jobs that run for a reason of their own, which `dag.reason` gets to know."""
    # Snakemake decides twice before the first job starts.
    judge = getattr(dag, "segunc_judge", None) or _Judge(dag, None if reads_everything else Memory(MEMORY))
    dag.segunc_judge = judge
    found = []
    for job in candidates:
        reason = dag._reason[job] = _reason_class()()
        if dag.rules_allowed_for_needrun and job.rule.name not in dag.rules_allowed_for_needrun:
            continue
        state = judge.state(job)
        reason.forced = _is_forced(dag, job)
        if state is not None and not state.current:
            reason.state = state
        if job in dag.targetjobs:
            wanted = job.input if job.rule.norun else _requested(dag, job)
            missing = [file for file in wanted if not await file.exists()]
            (reason.updated_input_run if job.rule.norun else reason.missing_output).update(missing)
        if reason:
            found.append(job)
    if judge.memory is not None:
        judge.memory.save()
    return found


async def _spread(dag: Any, waiting: list[Any], among: set[Any]) -> None:
    """Adds jobs, and those that have to run because of them, to the jobs that run."""
    seen = set(waiting)
    while waiting:
        job = waiting.pop()
        dag._needrun.add(job)
        for other, files in dag.dependencies[job].items():
            missing = [file async for file in other.missing_output(files)]
            dag.reason(other).missing_output.update(missing)
            if missing and other in among and other not in seen:
                seen.add(other)
                waiting.append(other)
        for other, files in dag.depending[job].items():
            # What a user forces runs with everything after it, as in Snakemake.
            forced = dag.reason(job).forced or dag.reason(job).follows_forced
            if other in among and (forced or other.rule.norun or not has_record(other)):
                reason = dag.reason(other)
                reason.updated_input_run.update(files)
                if other not in seen or (forced and not reason.follows_forced):
                    reason.follows_forced |= forced
                    seen.add(other)
                    waiting.append(other)


def _is_forced(dag: Any, job: Any) -> bool:
    by_rule = job.rule in dag.forcerules and job not in dag.omitforce
    return by_rule or not dag.forcefiles.isdisjoint(job.output)


def _requested(dag: Any, job: Any) -> list[Any]:
    """The files of a target's job that were asked for."""
    if job.rule in dag.targetrules or job.rule.name in dag.target_jobs_rules:
        return list(job.output)
    return [file for file in job.output if file in dag.targetfiles]


@cache
def _reason_class() -> Any:
    from snakemake.jobs import Reason

    class StaleReason(Reason):
        """Snakemake's reason of a job, with the words of segunc."""

        __slots__ = ("follows_forced", "state")

        def clear(self) -> None:
            super().clear()
            self.state: State | None = None
            self.follows_forced = False

        def __bool__(self) -> bool:
            return super().__bool__() or (self.state is not None and not self.finished)

        def __str__(self) -> str:
            # Snakemake's text is empty if the state is the only reason.
            words = (phrases(self.state) or ["its inputs were made from other settings or code"]) if self.state else []
            return "; ".join(filter(None, [super().__str__(), *words]))

    return StaleReason


@exit_on_user_error
def _check_code(dag: Any) -> None:
    """Ends Snakemake with a sentence if the program of a job that would run cannot start."""
    rules: set[str] = set()
    modules: set[str] = set()
    dag.update_jobids()  # Snakemake needs them to format a command.
    for job in filter(has_record, dag._needrun):
        value_of(job.rule.params.spec, job.wildcards)  # It ends Snakemake if raw data cannot be read.
        entries = value_of(job.rule.params.code, job.wildcards).split()[:-1]
        for module in {*entries} - modules:
            check_imports(module)
        modules.update(entries)
        if job.rule.name not in rules:
            check_command(job.rule.name, _words_of_program(job))
        rules.add(job.rule.name)
    check_metrics(modules)


def _words_of_program(job: Any) -> list[str]:
    """The words of a job's command line from the module of its program on, without its task."""
    line = shlex.split(job.shellcmd)
    if STARTER not in line:
        return [value_of(job.rule.params.code, job.wildcards).split()[0]]
    module, _, *options = line[line.index(STARTER) + 1 :]
    options = list(takewhile(lambda word: word not in (">", "2>&1", "|"), options))
    return [module, *expanded(options)]


@exit_on_user_error
def _set_aside(dag: Any) -> None:
    """Keeps finished results that jobs are about to replace, and says so; ends Snakemake if that is not possible."""
    folder = dag.workflow.globals["kept_results"]
    replaced = 0
    for job in dag._needrun:
        state = dag.segunc_judge.state(job)
        if not (state and state.record and state.record.key) or state.damage:
            continue
        files = {label: Path(path) for label, path in state.facts.outputs.items()}
        if state.missing or set(files) != set(state.record.outputs):
            continue
        # Tables and figures change with each edit.
        replaced += state.record.identity != state.identity and not collects(job.rule.name)
        if not kept.has(folder, state.record) and (problem := kept.remember(folder, state.record, files)):
            raise UserError(f"finished results would be replaced without being kept: {problem.rstrip('.')}.")
    if replaced:
        of = "1 job is" if replaced == 1 else f"{replaced} jobs are"
        console.say(
            f"results of {of} replaced by those of the present config and code; {folder} keeps the earlier ones, "
            "which are restored when their config and code are back."
        )

"""The only module that uses undocumented parts of Snakemake.

Each function has a test in `tests/workflow/test_snakemake_internals.py`, which fails if a new version of Snakemake
changes what it relies on. Links are to the sources of Snakemake 9, where the part is.
"""

import builtins
import inspect
import io
import json
import logging
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path, PurePath
from typing import Any

from segunc.config import yaml_files
from segunc.runtime import kept, records
from segunc.runtime.digests import Memory
from segunc.runtime.errors import UserError, printable
from segunc.runtime.job import Source
from segunc.workflow.argument_files import command_words, expanded
from segunc.workflow.broken_code import STARTER, check_command, check_imports
from segunc.workflow.causes import phrases
from segunc.workflow.rule_functions import exit_on_user_error, results_folder
from segunc.workflow.states import Facts, State, state_of

_workflow: Any = None
"""The workflow whose Snakefile this process read last."""


def check_files(workflow: Any) -> None:
    """Called by the Snakefile before it reads the config; ends Snakemake with a sentence if a file is not usable.

    - Snakemake takes braces in the path of the checkout for wildcards.
    - When Snakemake has merged config files, a key that was given twice cannot be seen any more.
      https://github.com/snakemake/snakemake/blob/main/src/snakemake/settings/types.py (ConfigSettings)
    """
    files = [Path(workflow.basedir, "config.yaml"), *map(Path, workflow.configfiles)]

    def check() -> None:
        if {"{", "}"} & set(workflow.basedir):
            raise UserError(f"{workflow.basedir} has braces in its path, which Snakemake replaces; rename the folder.")
        yaml_files.check(files, workflow.config_settings.config_args)

    exit_on_user_error(check)()


def finish_rules(workflow: Any, keep: str | None) -> None:
    """Called by the Snakefile after its last rule.

    `keep` is the folder of kept results; None for `.kept` in the results folder.

    - Each rule with a record gets the param `job`: its module and task, the first words of its program.
    - Records decide which jobs run, instead of Snakemake (`_update_needrun`).
    - Signatures are cached: Snakemake calls `inspect.signature` on each function once per job, and Python
      recomputes it each time unless the function has the attribute `__signature__`.
      https://github.com/snakemake/snakemake/blob/main/src/snakemake/common/__init__.py (get_function_params)
    - A closed terminal (SIGHUP) ends Snakemake like SIGTERM does, so that it leaves no lock.
    - Ends Snakemake if it has no core: it would wait for one, and divide by zero before.
    """
    from snakemake.dag import DAG

    if workflow.global_resources["_cores"].value == 0:
        sys.exit("segunc: --cores is 0, so that no job can run; give at least 1.")
    global _workflow
    _workflow = workflow
    rules = Rules(workflow)
    recorded = [rule for rule in workflow.rules if hasattr(rule.output, RECORD)]
    folder = Path(keep or f"{results_folder(str(recorded[0].output.record))}/.kept")
    for rule in workflow.rules:
        if rule in recorded:
            rule.set_params(job=_job_words(rules, rule, folder))
        for function in filter(callable, [*rule.input, *rule.params, *rule.resources.values()]):
            function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    DAG.update_needrun = _update_needrun
    DAG.check_incomplete = DAG.check_output_mtime = _no_check
    workflow.globals["kept_results"] = folder
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))


async def _no_check(*_: Any) -> None:
    """In place of two checks of Snakemake: for its marks of jobs that did not finish, which have no record; and for
    inputs that are newer than what was made from them, which fails a job if a file has a time stamp in the future.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/dag.py (check_incomplete, check_output_mtime)
    """


FORCED = "SEGUNC_FORCED"
"""Environment variable of jobs: rules and files that the user forced (--forcerun, --forceall, --force), as JSON."""


def _job_words(rules: "Rules", rule: Any, keep: Path) -> Callable[..., str]:
    """A params function: the module of the program of a rule, and its task (`segunc.runtime.job.Task`) as JSON."""

    def job(wildcards: Any, input: Any, output: Any) -> str:
        named = dict(wildcards.items())
        forced = json.loads(os.environ.get(FORCED, "[]"))
        record = str(output.record)
        task = {
            "record": record,
            "spec": json.loads(_value(rule.params.spec, wildcards)),
            "code": _value(rule.params.code, wildcards),
            "command": rules.command(rule.name, named),
            "inputs": [source for path in input if (source := rules.source(str(path)))],
            "outputs": dict(zip(rules.labels(rule.name), rules.outputs(rule.name, named), strict=True)),
            "keep": str(keep),
            "anew": rule.name in forced or not set(forced).isdisjoint(map(str, output)),
        }
        del task["outputs"]["record"]
        # Snakemake's report puts params into a script, which `</script>` would end.
        return command_words([task["code"].split()[0], json.dumps(task).replace("<", r"\u003c")])

    return job


def _value(param: Any, wildcards: Any) -> Any:
    return param(wildcards) if callable(param) else param


class _Judge:
    """Finds for each job of a DAG whether its results are up to date."""

    def __init__(self, dag: Any, memory: Memory | None) -> None:
        self._dag, self.memory = dag, memory
        self._identities: dict[Any, str] = {}
        self._states: dict[Any, State | None] = {}
        self._rules = Rules(dag.workflow)

    def facts(self, job: Any) -> Facts:
        """What is known about a job with a record; the identities of its inputs' jobs are known already."""
        sources = {}
        for other, files in self._dag.dependencies[job].items():
            labels = dict(zip(map(str, other.output), self._rules.labels(other.rule.name), strict=True))
            sources.update({str(file): (labels[str(file)], self.identity(other)) for file in files})
        for path in map(str, job.input):
            # The rule that makes it may be left out (--allowed-rules).
            if path not in sources and (source := self._rules.source(path)):
                record = records.read(source.record)
                sources[path] = source.label, record.identity if record else ""
        outputs = dict(zip(self._rules.labels(job.rule.name), map(str, job.output), strict=True))
        rule, wildcards = job.rule, job.wildcards
        return Facts(
            _value(rule.params.spec, wildcards),
            _value(rule.params.code, wildcards),
            self._rules.command(rule.name, wildcards),
            [(str(file), *sources[str(file)]) for file in job.input if str(file) in sources],
            {label: path for label, path in outputs.items() if label != RECORD},
            outputs[RECORD],
        )

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
                self._identities[job] = self.facts(job).identity if _has_record(job) else job.rule.name
        return self._identities[job]

    def state(self, job: Any) -> State | None:
        """The state of a job; None if it has no record or none of its results exist."""
        if job not in self._states:
            # Most jobs of a new grid have no results, and need no identity.
            exists = _has_record(job) and any(os.path.exists(file) for file in job.output)  # noqa: PTH110
            self._states[job] = state_of(self.facts(job), self.memory) if exists else None
        return self._states[job]


def _has_record(job: Any) -> bool:
    return hasattr(job.output, RECORD)


async def _update_needrun(dag: Any, create_inventory: bool = False) -> None:
    """Decides which jobs run, in place of Snakemake's method of this name.

    Snakemake decides by time stamps, of which no trigger can be free, and by metadata in `.snakemake`. Here a job runs
    if some of its results exist but are not up to date; if the user forces it; and if a result is missing that is a
    target or that a job needs which runs. A job whose results are up to date does not run because those of another job
    are made again: its record says that they would be the same.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/dag.py (DAG.update_needrun)
    """
    is_main = dag.workflow.is_main_process
    if create_inventory and is_main:
        await dag.workflow.iocache.mtime_inventory(dag.jobs)
    # Snakemake calls this twice before the first job starts.
    judge = getattr(dag, "segunc_judge", None) or _Judge(dag, None if _reads_everything else Memory(MEMORY))
    dag.segunc_judge = judge
    for jobs in (dag._needrun, dag._checkpoint_jobs, dag._n_until_ready, dag._ready_jobs):
        jobs.clear()
    candidates = [job for level in dag.toposorted() for job in level if not dag.finished(job)]
    waiting = []
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
            waiting.append(job)
    if judge.memory is not None:
        judge.memory.save()
    among, seen = set(candidates), set(waiting)
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
            if other in among and (forced or other.rule.norun or not _has_record(other)):
                reason = dag.reason(other)
                reason.updated_input_run.update(files)
                if other not in seen or (forced and not reason.follows_forced):
                    reason.follows_forced |= forced
                    seen.add(other)
                    waiting.append(other)
    for job in dag._needrun:
        dag._n_until_ready[job] = sum(other in dag._needrun for other in dag.dependencies[job])
    dag._len = len(dag._finished | dag._needrun)
    if is_main and create_inventory:
        os.environ[FORCED] = json.dumps(sorted({rule.name for rule in dag.forcerules} | set(map(str, dag.forcefiles))))
        _check_code(dag)
        if not dag.workflow.dryrun:
            _set_aside(dag)


MEMORY = Path(".snakemake/segunc/outputs.json")
"""Digests of results that were read before."""
RECORD = "record"
"""Label of the record among the outputs of a job."""
_reads_everything = False
"""Whether results are read although they were read before (`segunc check`)."""


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
            said = [super().__str__(), *(phrases(self.state) if self.state else [])]
            return "; ".join(filter(None, said))

    return StaleReason


def _check_code(dag: Any) -> None:
    """Ends Snakemake with a sentence if the program of a job that would run cannot start."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    dag.update_jobids()  # Snakemake needs them to format a command.
    for job in dag._needrun:
        if not _has_record(job):
            continue
        entries = tuple(_value(job.rule.params.code, job.wildcards).split()[:-1])
        if (job.rule.name, entries) in seen:
            continue
        try:
            for module in entries:
                check_imports(module)
            if job.rule.name not in {rule for rule, _ in seen}:
                check_command(job.rule.name, _words_of_program(job))
        except UserError as error:
            sys.exit(f"segunc: {printable(str(error))}")
        seen.add((job.rule.name, entries))


def _words_of_program(job: Any) -> list[str]:
    """The words of a job's command line from the module of its program on, without its task."""
    line = shlex.split(job.shellcmd)
    if STARTER not in line:
        return [_value(job.rule.params.code, job.wildcards).split()[0]]
    module, _, *options = line[line.index(STARTER) + 1 :]
    options = list(takewhile(lambda word: word not in (">", "2>&1", "|"), options))
    return [module, *expanded(options)]


def _set_aside(dag: Any) -> None:
    """Keeps finished results that jobs are about to replace, in case they are not kept yet."""
    folder = dag.workflow.globals["kept_results"]
    for job in dag._needrun:
        state = dag.segunc_judge.state(job)
        if state and state.record and not (state.damage or state.missing or kept.has(folder, state.record.key)):
            files = {label: Path(path) for label, path in state.facts.outputs.items()}
            if state.record.key and set(files) == set(state.record.outputs):
                kept.remember(folder, state.record, files)


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
class PlannedJob:
    """A job of a dry run, with a record."""

    rule: str
    wildcards: dict[str, str]
    facts: Facts
    identity: str
    """Of the results that it would write."""
    state: State | None
    """None if none of its results exist."""
    runs: bool
    """Whether it would run."""
    forced: bool
    """Whether it would run because the user forces it, or one before it."""


def planned_jobs(arguments: Sequence[str], read_everything: bool = False) -> tuple[list[PlannedJob], Path]:
    """The jobs of `snakemake --dry-run <arguments>` in topological order, and Snakemake's working directory.

    read_everything: compare all results with their digests, those that were read before as well. Raises SystemExit
    after Snakemake has printed its error.
    """
    global _reads_everything
    folder = _parse_arguments(arguments)[1]
    _reads_everything = read_everything
    try:
        dag = _run_quietly(["--dry-run", *arguments]).dag
    finally:
        _reads_everything = False
    jobs = []
    for job in (job for level in dag.toposorted() for job in level):
        if _has_record(job):
            reason, judge = dag.reason(job), dag.segunc_judge
            facts, identity, state = judge.facts(job), judge.identity(job), judge.state(job)
            forced = reason.forced or reason.follows_forced
            wildcards = dict(job.wildcards.items())
            jobs.append(PlannedJob(job.rule.name, wildcards, facts, identity, state, job in dag._needrun, forced))
    return jobs, folder


def kept_folder() -> Path:
    """The folder of kept results of the workflow whose Snakefile was read last, relative to its working directory."""
    return _workflow.globals["kept_results"]


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
        self._options = {rule.name: _options_in(rule.shellcmd or "") for rule in workflow.rules}
        self._labels = {
            name: [RECORD if path == getattr(output, RECORD, None) else PurePath(path).name for path in output]
            for name, output in self._outputs.items()
        }
        self.targets = [rule.name for rule in workflow.rules if not rule.output]
        self.default_target = workflow.default_target

    def producer(self, path: str) -> tuple[str, dict[str, str]] | None:
        """Name and wildcards of the rule that makes a file; None if no rule does."""
        for prefix, match, name in self._patterns:
            if path.startswith(prefix) and (found := match(path)):
                return name, found.groupdict()
        return None

    def labels(self, rule: str) -> list[str]:
        """What to call the outputs of a rule, one by one: the last part of the pattern, `record` for the record."""
        return self._labels[rule]

    def source(self, path: str) -> Source | None:
        """Which record says what a file was made from, and under which label; None if no rule makes it."""
        found = self.producer(path)
        if found is None:
            return None
        rule, wildcards = found
        label = self._labels[rule][self.outputs(rule, wildcards).index(path)]
        return Source(path, label, self.pattern(rule, RECORD).format_map(wildcards))

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
            else:
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
        """A param of a job, of those that need nothing but its wildcards; "" if its rule does not have it."""
        return _value(getattr(self._rules[rule].params, name, ""), _Wildcards(wildcards))

    def command(self, rule: str, wildcards: Mapping[str, str]) -> str:
        """The options of a rule's program as the rule spells them, and the ids of the cell, if it passes them."""
        return f"{self._options[rule]} {self.param(rule, 'cell', wildcards)}".strip()

    def threads(self, rule: str) -> int:
        """CPU cores of a job, with --set-threads applied."""
        return int(self._rules[rule].resources["_cores"].value)


def _options_in(shell: str) -> str:
    """The options of the program in the shell command of a rule, without where its output goes."""
    return " ".join(re.split(r" (?:>|2>&1|\|)", shell.partition("{params.job}")[2])[0].split())


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
    targets, folder = _parse_arguments(arguments)
    workflow = _run_quietly(["--list-rules", *arguments])
    names = workflow.globals
    return Parsed(Rules(workflow), names["experiment"], names["device"], targets, folder)


def _parse_arguments(arguments: Sequence[str]) -> tuple[list[str], Path]:
    """The targets of a command line, and its working directory.

    Raises SystemExit after Snakemake has printed its error, UserError if it does not accept the arguments, does nothing
    with them (as for --version), or if the folder does not exist: Snakemake would create it.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/cli.py (parse_args)
    """
    from snakemake import cli

    # It also reports which profile it reads, for a second time.
    printed = io.StringIO()
    try:
        with redirect_stderr(printed), redirect_stdout(printed):
            _, args = cli.parse_args(list(arguments))
    except SystemExit as end:
        if not end.code:
            raise UserError(NOTHING_READ) from None
        sys.stderr.write(printed.getvalue())
        raise
    except Exception as error:
        raise UserError(f"snakemake does not accept these arguments ({error}); see snakemake --help.") from error
    yaml_files.check([Path(file) for file in args.configfile or []], args.config or [])
    folder = Path(args.directory or ".")
    if not folder.is_dir():
        raise UserError(f"--directory {folder} is not a folder; name the one in which snakemake runs, or create it.")
    return list(args.targets), folder


def _run_quietly(arguments: Sequence[str]) -> Any:
    """Runs Snakemake in this process, passes on only warnings and errors, and returns its workflow.

    Raises SystemExit after Snakemake has printed its error; UserError if it read no Snakefile, and if the operating
    system refused something (a file is missing, a folder is not writable), which Snakemake prints as a traceback.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/cli.py (main)
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/exceptions.py (print_exception)
    """
    from snakemake import cli

    global _workflow
    _workflow = None
    # A dry run prints its errors to stdout.
    printed = io.StringIO()
    with _only_warnings(logging.getLogger("snakemake.logging")) as refused, redirect_stdout(printed):
        try:
            cli.main(list(arguments))
        except SystemExit as end:
            if end.code and refused:
                raise UserError(f"snakemake cannot work here ({refused[-1]}); correct that and run again.") from None
            if end.code:
                sys.stderr.write(printed.getvalue())
                raise
    if _workflow is None:
        raise UserError(NOTHING_READ)
    return _workflow


NOTHING_READ = "with these arguments, snakemake does not read segunc's Snakefile; see snakemake --help."


@contextmanager
def _only_warnings(logger: logging.Logger) -> Iterator[list[str]]:
    """Within it, the logger passes on only warnings and errors; the list gets what the operating system refused."""
    refused: list[str] = []

    def is_shown(event: logging.LogRecord) -> bool:
        error = getattr(builtins, getattr(event, "exception", None) or "", None)
        if isinstance(error, type) and issubclass(error, OSError):
            refused.append(event.getMessage().strip().rpartition("\n")[2])  # the last line of a traceback
            return False
        return event.levelno >= logging.WARNING

    logger.addFilter(is_shown)
    try:
        yield refused
    finally:
        logger.removeFilter(is_shown)

"""What the workflow and the commands use of Snakemake that is not documented, as `parsed_rules` and `needrun` do.

No other module does. Each function has a test in `tests/workflow/test_snakemake_internals.py`, which fails if a new
version of Snakemake changes what it relies on. Links are to the sources of Snakemake 9, where the part is.
"""

import builtins
import inspect
import io
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from segunc import cells
from segunc.cells import Cell
from segunc.config import yaml_files
from segunc.runtime.errors import UserError
from segunc.workflow import console, job_logs, job_server, needrun
from segunc.workflow.argument_files import command_words
from segunc.workflow.parsed_rules import RECORD, Rules, value_of
from segunc.workflow.rule_functions import exit_on_user_error, results_folder
from segunc.workflow.states import Facts, State

_workflow: Any = None
"""The workflow whose Snakefile this process read last."""


@exit_on_user_error
def check_files(workflow: Any) -> None:
    """Called by the Snakefile before it reads the config; ends Snakemake with a sentence if a file is not usable.

    - Snakemake takes braces in the path of the checkout for wildcards.
    - When Snakemake has merged config files, a key that was given twice cannot be seen any more.
      https://github.com/snakemake/snakemake/blob/main/src/snakemake/settings/types.py (ConfigSettings)
    """
    if {"{", "}"} & set(workflow.basedir):
        raise UserError(f"{workflow.basedir} has braces in its path, which Snakemake replaces; rename the folder.")
    files = [Path(workflow.basedir, "config.yaml"), *map(Path, workflow.configfiles)]
    yaml_files.check(files, workflow.config_settings.config_args)


def finish_rules(workflow: Any, keep: str | None) -> None:
    """Called by the Snakefile after its last rule.

    `keep` is the folder of kept results; None for `.kept` in the results folder.

    - Each rule with a record gets the param `job`: its module and task, the first words of its program.
    - Records decide which jobs run, instead of Snakemake (`needrun.update_needrun`).
    - A failed job is not started again if it would fail again (`_restart_times`).
    - Snakemake does less work for each job (`_save_work`).
    - A closed terminal (SIGHUP) ends Snakemake like SIGTERM does, so that it leaves no lock.
    - Ends Snakemake if it has no core: it would wait for one, and divide by zero before.
    """
    from snakemake.dag import DAG
    from snakemake.jobs import Job

    if workflow.global_resources["_cores"].value == 0:
        sys.exit("segunc: --cores is 0, so that no job can run; give at least 1.")
    global _workflow
    _workflow = workflow
    rules = Rules(workflow)
    recorded = [rule for rule in workflow.rules if hasattr(rule.output, RECORD)]
    folder = Path(keep).expanduser() if keep else Path(f"{results_folder(str(recorded[0].output.record))}/.kept")
    for rule in workflow.rules:
        if rule in recorded:
            rule.set_params(job=_job_words(rules, rule, folder))
    _save_work(workflow)
    DAG.update_needrun = needrun.update_needrun
    Job.restart_times = property(_restart_times)
    DAG.check_incomplete = DAG.check_output_mtime = _no_check
    workflow.globals["kept_results"] = folder
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))


def start_job_server(workflow: Any) -> None:
    """Called by the Snakefile when a run starts: jobs on this machine share imported libraries, if there are several.

    https://github.com/snakemake/snakemake/blob/main/src/snakemake/workflow.py (local_exec)
    """
    if workflow.local_exec and len(list(workflow.dag.needrun_jobs())) > 1:
        job_server.start()


def print_in_lines(workflow: Any, expected: Mapping[int, tuple[str, float]]) -> None:
    """Called by the Snakefile when a run starts: jobs are printed in lines (`segunc.workflow.console`).

    `expected` is by job id: rule and seconds. Nothing changes with --verbose, or if a plugin prints. Snakemake's log
    file has all that Snakemake says.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/logging.py (LoggerManager)
    """
    logger = workflow.logger_manager.logger
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler" and not workflow.output_settings.verbose:
            logger.removeHandler(handler)
            logger.addHandler(console.Console(handler.stream, handler, console.Remaining(expected)))
            return


def notice_ctrl_c(workflow: Any) -> None:
    """Called by the Snakefile when a run starts: Ctrl-C is noted, of which Snakemake keeps no trace (`was_stopped`).

    https://github.com/snakemake/snakemake/blob/main/src/snakemake/scheduling/job_scheduler.py (schedule)
    """
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # Ctrl-C is ignored.
        return

    def notice(number: int, frame: Any) -> None:
        workflow.scheduler._user_kill = "Ctrl-C"
        handler(number, frame)

    signal.signal(signal.SIGINT, notice)


def jobs_to_run(workflow: Any) -> dict[int, tuple[str, Cell]]:
    """Rule and cell of the jobs that a run will run, by job id."""
    dag = workflow.dag
    return {dag.jobid(job): (job.rule.name, Cell.of(job.wildcards_dict)) for job in dag.needrun_jobs()}


def _failed(workflow: Any) -> set[Any]:
    """The jobs that a run gave up, those of groups one by one.

    https://github.com/snakemake/snakemake/blob/main/src/snakemake/scheduling/job_scheduler.py (failed)
    """
    return set(_single(workflow.scheduler.failed if workflow.scheduler else ()))


def _single(items: Iterable[Any]) -> Iterator[Any]:
    """Jobs, those of groups one by one."""
    for item in items:
        yield from item.jobs if item.is_group() else [item]


def _name(job: Any) -> str:
    """`train lidc unet seed 0`"""
    return f"{job.rule.name} {Cell.of(job.wildcards_dict)}".rstrip()


def failed_jobs(workflow: Any) -> list[console.Failure]:
    """The jobs that a run gave up, in the order of their names."""
    found = {_name(job): job.log for job in _failed(workflow)}
    return [console.Failure(name, Path(log[0]) if log else None) for name, log in sorted(found.items())]


def was_stopped(workflow: Any) -> bool:
    """Whether the user stopped the run (Ctrl-C, SIGTERM)."""
    return bool(workflow.scheduler and workflow.scheduler._user_kill)


def stopped_jobs(workflow: Any) -> list[str]:
    """The names of the jobs that were running when the user stopped the run; after SIGTERM, Snakemake waits for them.

    https://github.com/snakemake/snakemake/blob/main/src/snakemake/scheduling/job_scheduler.py (running)
    """
    return sorted(map(_name, _single(workflow.scheduler.running)))


def _restart_times(job: Any) -> int:
    """How often a job may be started again: not at all if segunc named something that the user has to change.

    Snakemake asks when a job has failed.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/scheduling/job_scheduler.py (_handle_error)
    """
    hopeless = job.log and not job_logs.may_succeed_again(Path(job.log[0]))
    return 0 if hopeless else job.rule.restart_times


def _save_work(workflow: Any) -> None:
    """Has Snakemake do less for each job. What it decides, makes and prints stays the same.

    - It looks up the parameters of each function that it calls, several times per job (`_remember_parameters`). Those
      of methods, which evaluate resources, take Python longest.
    - It evaluates the params of each job, also of those that do not run, for the path of its conda environment
      (`_conda_env_spec`).
    - In a dry run it formats what it does not print (`_print_job`).
    """
    from snakemake.executors.dryrun import Executor
    from snakemake.jobs import Job
    from snakemake.resources import Resource

    for rule in workflow.rules:
        of_resources = [resource._evaluator for resource in rule.resources.values()]
        for function in filter(callable, [*rule.input, *rule.params, *of_resources]):
            _remember_parameters(function, function)
    _remember_parameters(Resource.evaluate, Resource("any", 0).evaluate)
    Job.conda_env_spec = property(_conda_env_spec)
    Executor.printjob = _print_job


def _remember_parameters(function: Any, called: Any) -> None:
    """Has Snakemake take the parameters of a function from an attribute: those with which it is called.

    https://github.com/snakemake/snakemake/blob/main/src/snakemake/common/__init__.py (get_function_params)
    """
    function._overwrite_params = inspect.signature(called).parameters


def _conda_env_spec(job: Any) -> Any:
    """The conda environment of a job. That of no rule here depends on params.

    https://github.com/snakemake/snakemake/blob/main/src/snakemake/jobs.py (Job.conda_env_spec)
    """
    if job._conda_env_spec is None:
        job._conda_env_spec = job.rule.expand_conda_env(job.wildcards_dict, params=None, input=job.input)
    return job._conda_env_spec


def _print_job(executor: Any, job: Any) -> None:
    """Prints a job of a dry run, in place of Snakemake's method of this name.

    Snakemake evaluates all params and resources and formats the command three times, whether or not it prints them.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/executors/dryrun.py (Executor.printjob)
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/jobs.py (Job.log_info)
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/logging.py (DefaultFilter, format_job_info)
    """
    from snakemake.logging import LogEvent, logger
    from snakemake.settings.enums import Quietness
    from snakemake.utils import format

    settings = executor.workflow.output_settings
    if settings.log_handler_settings:  # Logger plugins may use everything.
        job.log_info()
    elif Quietness.RULES in (settings.quiet or ()):
        return
    elif job.is_group() or settings.printshellcmds or not _names_wildcards_only(job.rule.message):
        job.log_info()
    else:
        message = format(job.rule.message, wildcards=job.wildcards)
        shown = {"jobid": job.jobid, "rule_msg": message, "reason": str(job.dag.reason(job))}
        logger.info(message, extra={"event": LogEvent.JOB_INFO, **shown})


@cache
def _names_wildcards_only(message: str | None) -> bool:
    """Whether a rule has a message, and its wildcards are all that it names of a job."""
    return message is not None and {field for _, field, _, _ in Formatter().parse(message)} <= {"wildcards", None}


async def _no_check(*_: Any) -> None:
    """In place of two checks of Snakemake: for its marks of jobs that did not finish, which have no record; and for
    inputs that are newer than what was made from them, which fails a job if a file has a time stamp in the future.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/dag.py (check_incomplete, check_output_mtime)
    """


def _job_words(rules: "Rules", rule: Any, keep: Path) -> Callable[..., str]:
    """A params function: the module of the program of a rule, and its task (`segunc.runtime.job.Task`) as JSON."""

    def job(wildcards: Any, input: Any, output: Any) -> str:
        named = dict(wildcards.items())
        forced = json.loads(os.environ.get(needrun.FORCED, "[]"))
        record = str(output.record)
        task = {
            "record": record,
            "spec": json.loads(value_of(rule.params.spec, wildcards)),
            "code": value_of(rule.params.code, wildcards),
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


@dataclass(frozen=True)
class Unfinished:
    """A run in which jobs failed, as `onerror` finds it."""

    keeps_going: bool
    """Whether it is one with --keep-going, so that it has started all jobs that it can."""
    jobs: list[Any]
    """Jobs that had to run and did not finish."""
    failed_ancestors: Callable[[Any], list[Any]]
    """The failed jobs that a job waited for, the nearest first, which may be the job itself."""
    snakefile: str


def unfinished(workflow: Any) -> Unfinished | None:
    """What a run left unfinished, with --keep-going or if nothing but figures failed; else None."""
    dag, failed, keeps_going = workflow.dag, _failed(workflow), workflow.execution_settings.keep_going
    only_figures = failed and all(cells.is_figure(job.rule.name) for job in failed)
    if was_stopped(workflow) or not (keeps_going or only_figures):
        return None

    def failed_ancestors(job: Any) -> list[Any]:
        return [other for other in dag.bfs(dag.dependencies, job) if other in failed]

    return Unfinished(keeps_going, list(dag.needrun_jobs()), failed_ancestors, workflow.main_snakefile)


def includes(workflow: Any, rule: str) -> bool:
    """Whether a run's DAG has a job of the rule."""
    return any(job.rule.name == rule for job in workflow.dag.jobs)


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
    folder = _parse_arguments(arguments)[1]
    needrun.reads_everything = read_everything
    try:
        dag = _run_quietly(["--dry-run", *arguments]).dag
    finally:
        needrun.reads_everything = False
    jobs = []
    for level in dag.toposorted():
        # Snakemake's order within a level is that of addresses in memory.
        for job in sorted(filter(needrun.has_record, level), key=lambda job: str(job.output.record)):
            reason, judge = dag.reason(job), dag.segunc_judge
            facts, identity, state = judge.facts(job), judge.identity(job), judge.state(job)
            forced = reason.forced or reason.follows_forced
            wildcards = dict(job.wildcards.items())
            jobs.append(PlannedJob(job.rule.name, wildcards, facts, identity, state, job in dag._needrun, forced))
    return jobs, folder


def kept_folder() -> Path:
    """The folder of kept results of the workflow whose Snakefile was read last, relative to its working directory."""
    return _workflow.globals["kept_results"]


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
    warnings = _only_warnings(logging.getLogger("snakemake.logging"))
    with warnings as refused, _noticing_ctrl_c() as pressed, redirect_stdout(printed):
        try:
            cli.main(list(arguments))
        except SystemExit as end:
            if end.code and refused:
                raise UserError(f"snakemake cannot work here ({refused[-1]}); correct that and run again.") from None
            if pressed:
                raise KeyboardInterrupt from None
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


@contextmanager
def _noticing_ctrl_c() -> Iterator[list[int]]:
    """Within it, the list gets the number of SIGINT each time that Ctrl-C is pressed.

    Snakemake takes Ctrl-C for an error of the function of a rule, or of a job, if it is in one.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/rules.py (apply_input_function)
    """
    pressed: list[int] = []
    handler = signal.getsignal(signal.SIGINT)

    def notice(number: int, frame: Any) -> None:
        pressed.append(number)
        if callable(handler):
            handler(number, frame)

    signal.signal(signal.SIGINT, notice)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, handler)

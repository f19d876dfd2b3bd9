# What all rules share: the validated config, paths, specs and code digests, resources, input functions.
import gc
import os
import re
import sys
from functools import cache
from itertools import product
from pathlib import Path
from shlex import quote

from segunc import cells
from segunc.cells import Cell
from segunc.config import specs
from segunc.config.acquisition import acquisition
from segunc.config.load import load_with_device
from segunc.config.raw_data import predictions, predictions_digest, raw_data, raw_digests
from segunc.config.yaml_files import in_order
from segunc.page.specs import asset_digests
from segunc.runtime import kept
from segunc.runtime.code_digest import code_param
from segunc.workflow import console, partial_outputs, scheduler_resources
from segunc.workflow.environment import gpus, job_environment
from segunc.workflow.rule_functions import (
    cell_options,
    checkpoints,
    doubled,
    exit_on_user_error,
    input_options,
    job_name,
    records_folder,
)

# Large DAGs create millions of long-lived objects; the default thresholds of garbage collection cost 20 % of a dry run.
gc.set_threshold(200_000, 50, 50)

# Jobs run the Python that runs Snakemake, even if no environment is activated, and this checkout's segunc.
os.environ.update(job_environment(workflow.basedir))

# SLURM stops a job by SIGTERM to each of its processes, and kills the rest after 30 s. Without the trap, the shell
# would exit at once and end the job while the training run is still writing its checkpoint. `tee` would exit too and
# break the pipe.
shell.prefix("set -euo pipefail; trap : TERM HUP; tee() {{ (trap '' TERM HUP; exec tee \"$@\"); }}; ")


device, experiment = exit_on_user_error(load_with_device)(in_order(config, Path(workflow.basedir, "config.yaml")))
grid, active = experiment.grid, experiment.active
GPUS = gpus(device)


# A rule sets `step`, and `cell` if it is not one of the main grid. Tables, figures and the report are in `run`, their
# records and logs in `of_run`: those of a named run are beside the others.
pathvars:
    results="results",
    run=f"<results>/runs/{experiment.run}" if experiment.run else "<results>",
    of_run=f"{experiment.run}/" if experiment.run else "",
    logs="<results>/logs",
    dataset="{dataset}",
    seed="seed{seed}",
    cell="<dataset>/{model}/<seed>",
    round="<dataset>/{model}/{strategy}/<seed>/round{round}",
    log="<logs>/<step>/<cell>.log",
    record="<results>/records/<step>/<cell>.json",


# Params: what a job is given. `spec`, `code` and `cell` decide whether it reruns, with the identities of its inputs.
# Snakefile adds the param `job`, which passes them on (`segunc.runtime.job.Task`).

# The spec of a step whose results depend on its input and code alone.
NO_SETTINGS = "{}"

# Modules that a cell reaches by name, in the packages of segunc that have a file for each. A wrapper reaches the model
# that it wraps.
BY_NAME = {
    "models": lambda cell: dict.fromkeys(
        experiment.models[model].method for model in (cell.model, cells.training_behind(experiment, cell).model)
    ),
    "data.formats": lambda cell: [experiment.datasets[cell.dataset].format],
    "strategies": lambda cell: [experiment.strategies[cell.strategy].method],
}
code_of_modules = cache(exit_on_user_error(code_param))
spec_of = cache(lambda name, cell: getattr(specs, name)(experiment, cell))


def spec(name, *fields):
    """A params function: the spec of the cell, by the function `name` of `segunc.config.specs`.

    `fields`: those of the cell that the spec depends on, if not all; jobs that agree in them share one cached spec.
    """

    def of_job(wildcards):
        cell = Cell.of(wildcards)
        return spec_of(name, Cell(**{field: getattr(cell, field) for field in fields}) if fields else cell)

    return of_job


def code(module, *packages):
    """A params function: a digest of the stage's module, and of the modules that the cell reaches by name."""

    def of_job(wildcards):
        cell = Cell.of(wildcards)
        by_name = [f"segunc.{package}.{name}" for package in packages for name in BY_NAME[package](cell)]
        return code_of_modules(f"segunc.{module}", *by_name)

    return of_job


# Params that change no result.


def on_device(wildcards):
    return device


def needed_images(wildcards):
    """Images that are labelled by the last round. More rounds need more, but do not change earlier ones."""
    return active.start + active.add * (active.rounds if active.strategies else 0)


# Resources: what a job requests from a scheduler. Locally, Snakemake enforces mem_mb only with --resources mem_mb=...


@cache
def demand_of(dataset, model, is_active):
    trained = cells.training_behind(experiment, Cell(dataset, model, seed=0))
    training = spec_of("active_train" if is_active else "train", trained)
    return scheduler_resources.demand(training, experiment.datasets[dataset].size)


def demand(wildcards):
    cell = Cell.of(wildcards)
    return demand_of(cell.dataset, cell.model, bool(cell.strategy))


def network_memory(wildcards, attempt):
    return demand(wildcards).memory * 2 ** (attempt - 1)


def training_minutes(wildcards, attempt, threads):
    return min(scheduler_resources.DAY, demand(wildcards).minutes(threads) * 2 ** (attempt - 1))


# Section and title of each figure in the report, by the name of its caption.
TITLES = {}


def figure(path, category, label):
    """The output of a figure that the report shows, with the caption of the same name as its file."""
    name = re.split("_[<{]", Path(path).stem)[0]
    TITLES[name] = (category, label)
    labels = {"figure": label, "dataset": "{dataset}" if "<dataset>" in path else "all"}
    return report(path, caption=f"../report/{name}.rst", category=category, labels=labels)


# Files of many cells, from the pattern of the rule that writes them.


def files_of(patterns, filling):
    """The patterns filled with each of the cells."""
    return list(dict.fromkeys(cell.fill(pattern) for pattern in patterns for cell in filling))


def file_of(step, output):
    """One output of one job."""
    return step[1].fill(getattr(getattr(rules, step[0]).output, output))


def present(steps, output):
    """One output of many jobs, without those whose results are missing after --keep-going."""
    return [file_of(step, output) for step in steps if step not in experiment.reasons]


def listed(files):
    """An input function for a list of files, with which Snakemake takes linear time.

    For a named list in a rule's input, it hashes the whole list once per file.
    https://github.com/snakemake/snakemake/blob/main/src/snakemake/rules.py (Rule.expand_input)
    """
    return lambda wildcards: files


# What a run prints.


def print_in_lines():
    """Has jobs printed in lines, with the share of the run that is done by what jobs are expected to take."""
    from segunc.plan import durations

    parsed = snakemake_internals.Parsed(snakemake_internals.Rules(workflow), experiment, device, [], Path())
    jobs = snakemake_internals.jobs_to_run(workflow)
    snakemake_internals.print_in_lines(workflow, durations.expected(parsed, jobs, bool(GPUS)))


def print_end():
    """Prints what was stopped, or which jobs failed and why, and what to do next."""
    if snakemake_internals.was_stopped(workflow):
        again = " ".join(["snakemake", *map(quote, sys.argv[1:])])
        console.say(console.stopped(snakemake_internals.stopped_jobs(workflow), again))
    else:
        console.say(console.summary(snakemake_internals.failed_jobs(workflow)))


# After a run.


def prune_kept_results():
    """Keeps the folder of kept results within its budget."""
    kept.prune(snakemake_internals.kept_folder(), experiment.keep_gb * 1e9)


def print_answer():
    """Prints what the run says, if it was asked for, and what to open next."""
    if snakemake_internals.includes(workflow, "answer"):
        answered = Path(rules.answer.output.answered)
        opened = "{0}/report.html, {0}/tables/summary.md and {0}/figures".format(answered.parent)
        print(f"\n{answered.read_text(encoding='utf-8')}\nNext, open {opened}.", flush=True)

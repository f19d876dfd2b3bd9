# What all rules need: the validated config, the cells of the grid, the specs that decide what reruns.
import gc
import os
import shlex
import sys
from functools import cache
from itertools import product
from pathlib import Path
from types import SimpleNamespace

# This checkout's segunc, whichever is installed.
sys.path.insert(0, os.path.join(workflow.basedir, "src"))

from segunc import config as settings
from segunc import provenance
from segunc.data.fingerprint import remembered_digest
from segunc.errors import UserError

try:
    experiment = settings.load(config)
    for dataset in [*experiment.grid.datasets, *experiment.active.datasets]:
        settings.raw_data(experiment, dataset)
except settings.ConfigError as error:
    sys.exit(f"segunc: {error}")

grid = experiment.grid

# The random-threshold baseline needs the probability map of a plain U-Net.
plain_unet = [name for name in grid.models if experiment.models[name].method == "unet"]

# Thousands of jobs are millions of objects and hardly any garbage: looking for it took a fifth of a dry run.
gc.set_threshold(200_000, 50, 50)

# Jobs run the Python that runs Snakemake, also where no environment is activated, and this checkout's segunc.
os.environ.update(settings.job_environment(workflow.basedir))


def cells(pattern):
    """The files of all cells of the grid."""
    return expand(pattern, dataset=grid.datasets, model=grid.models, seed=grid.seeds)


# The spec of a stage whose results depend on its input and code alone.
NO_SETTINGS = "{}"

# Modules that a cell reaches by name, in the families of segunc that have a file for each.
BY_NAME = {
    "models": lambda wildcards: experiment.models[wildcards.model].method,
    "data.formats": lambda wildcards: experiment.datasets[wildcards.dataset].format,
    "strategies": lambda wildcards: experiment.strategies[wildcards.strategy].method,
}


def code(stage, *families):
    """A params function: a digest of the modules that the stage imports, and of those that the cell reaches by name."""

    def digest(wildcards):
        named = [f"segunc.{family}.{BY_NAME[family](wildcards)}" for family in families]
        return code_of_modules(f"segunc.{stage}", *named)

    return digest


# Thousands of jobs share a few dozen of these.
@cache
def code_of_modules(*modules):
    try:
        return provenance.code_param(*modules)
    except UserError as error:
        sys.exit(f"segunc: {error}")


def force_if_outdated(output, params):
    """An input function that adds no input: it is what Snakemake calls for each job before it decides what to run.

    It forces a job whose results were made from other settings or code than today's where Snakemake does not know:
    after `.snakemake/` was deleted, or if code was edited while jobs waited and then changed back.
    """

    def no_input(wildcards):
        if not any(os.path.exists(path.apply_wildcards(wildcards)) for path in output):
            return []
        record = output.provenance.apply_wildcards(wildcards)
        today = [param(wildcards) if callable(param) else param for param in (params.spec, params.code)]
        known = workflow.persistence.metadata(record)
        noticed = known is not None and not set(map(repr, today)) <= set(known.params or [])
        if not noticed and not provenance.made_from(record, *today):
            workflow.dag.forcefiles.add(record)
        return []

    return no_input


# Snakemake does not record params whose function takes `input`: on what device a network runs does not belong to what
# a result depends on.
def device(wildcards, input):
    return experiment.device


def raw_paths(dataset):
    try:
        return settings.raw_data(experiment, dataset)
    except settings.ConfigError as error:
        sys.exit(f"segunc: {error}")


# The spec of `prepare` has the content's digest, which says better than time stamps whether raw data changed.
def raw_input(wildcards):
    return {name: ancient(path) for name, path in raw_paths(wildcards.dataset).items()}


def raw_arguments(wildcards, input):
    return [f"--raw {shlex.quote(f'{name}={path}')}" for name, path in input.items()]


def data_spec(wildcards):
    return settings.data_spec(experiment, wildcards.dataset, raw_digests(wildcards.dataset))


# Once per run, as it looks at each file.
@cache
def raw_digests(dataset):
    memory = Path(".snakemake/segunc/digests.json")
    try:
        return {name: remembered_digest(Path(path), memory) for name, path in raw_paths(dataset).items()}
    except UserError as error:
        sys.exit(f"segunc: {error}")


def train_spec(wildcards):
    return spec_of_training(settings.train_spec, wildcards.dataset, wildcards.model, int(wildcards.seed))


# All rounds and strategies of a seed share one.
@cache
def spec_of_training(of_stage, dataset, model, seed):
    return of_stage(experiment, dataset, model, seed)


def sample_spec(wildcards):
    return settings.sample_spec(experiment, int(wildcards.seed))


def scored():
    """All that is scored: dataset, model or baseline, and seed. The baselines that ask no network have no seed."""
    seeds_of_threshold = grid.seeds if plain_unet else []
    return [
        *product(grid.datasets, grid.models, grid.seeds),
        *product(grid.datasets, ["baselines"], [None]),
        *product(grid.datasets, ["baseline_threshold"], seeds_of_threshold),
    ]


def score_file(file, dataset, model, seed):
    folder = model if seed is None else f"{model}/seed{seed}"
    return f"results/scores/{dataset}/{folder}/{file}"


def scores(file):
    """One kind of score file of all that is scored."""
    return present([score_file(file, *cell) for cell in scored()])


def missing_scores():
    """What is scored but for what is missing, as `tables` wants to know it."""
    names = ("dataset", "model", "seed", "why")
    paths = {score_file("images.csv", *cell): cell for cell in scored()}
    return [dict(zip(names, (*cell, why))) for path, cell in paths.items() if (why := experiment.missing.get(path))]


def figure_files():
    """Every figure of the grid, as png and as pdf."""
    of_each_dataset = expand(
        "{figure}_{dataset}", figure=["contact_sheet", "uncertainty_maps", "samples"], dataset=grid.datasets
    )
    of_all = ["entropy_by_outcome", "entropy_by_agreement", "ged_by_samples"]
    return expand("results/figures/{figure}.{suffix}", figure=[*of_each_dataset, *of_all], suffix=["png", "pdf"])


def figure_spec(wildcards):
    return settings.figure_spec(experiment)


def store_spec(wildcards):
    return settings.store_spec(experiment, wildcards.dataset)


def images_spec(wildcards):
    missing = [model for model in grid.models if samples(wildcards.dataset, model) in experiment.missing]
    return settings.images_spec(experiment, wildcards.dataset, missing)


def samples(dataset, model):
    """The samples that figures show: those of the first seed."""
    return f"results/samples/{dataset}/{model}/seed{grid.seeds[0]}.h5"


def samples_of_models(wildcards):
    return present([samples(wildcards.dataset, model) for model in grid.models])


def active_figure_spec(wildcards):
    return settings.active_figure_spec(experiment)


def picks_spec(wildcards):
    missing = [name for name, path in first_picks(wildcards).items() if path in experiment.missing]
    return settings.picks_spec(experiment, wildcards.dataset, missing)


def tables_spec(wildcards):
    return settings.tables_spec(experiment, missing_scores())


def active_tables_spec(wildcards):
    return settings.active_tables_spec(experiment, missing_rounds())


def learning_curves_spec(wildcards):
    return settings.learning_curves_spec(experiment)


def start_spec(wildcards):
    return settings.start_spec(experiment, int(wildcards.seed))


# Takes `input` like `device`: to raise `rounds` asks for more images, but does not change the start set.
def active_needed(wildcards, input):
    active = experiment.active
    return active.start + active.add * (active.rounds if active.strategies else 0)


def pick_spec(wildcards):
    return settings.pick_spec(experiment, wildcards.strategy, int(wildcards.seed), int(wildcards.round))


def active_train_spec(wildcards):
    return spec_of_training(settings.active_train_spec, wildcards.dataset, wildcards.model, int(wildcards.seed))


def labelled(wildcards, round_):
    """The labelled images of a round; `wildcards` may lack the model where the strategy asks no network."""
    if round_ == 0:
        pattern = "results/active/{cell.dataset}/start/seed{cell.seed}/labelled.csv"
    elif settings.needs_network(experiment, wildcards.strategy):
        pattern = "results/active/{cell.dataset}/{cell.model}/{cell.strategy}/seed{cell.seed}/round{round}/labelled.csv"
    else:
        pattern = "results/active/{cell.dataset}/{cell.strategy}/seed{cell.seed}/round{round}/labelled.csv"
    return pattern.format(cell=wildcards, round=round_)


def labelled_now(wildcards):
    return labelled(wildcards, int(wildcards.round))


def labelled_before(wildcards):
    return labelled(wildcards, int(wildcards.round) - 1)


def weights_before(wildcards):
    before = int(wildcards.round) - 1
    pattern = "results/active/{cell.dataset}/{cell.model}/{strategy}/seed{cell.seed}/round{round}/weights.pt"
    return pattern.format(cell=wildcards, strategy=wildcards.strategy if before else "start", round=before)


def active_rounds():
    """Every round that is tested: dataset, model, strategy, seed and round; round 0 once, the others of each strategy."""
    active = experiment.active
    chain = [("start", 0), *product(active.strategies, range(1, active.rounds + 1))]
    return [
        (dataset, model, strategy, seed, round_)
        for dataset, model, seed, (strategy, round_) in product(active.datasets, active.models, active.seeds, chain)
    ]


def active_score_file(dataset, model, strategy, seed, round_):
    return f"results/active/{dataset}/{model}/{strategy}/seed{seed}/round{round_}/scores.csv"


def active_scores(wildcards):
    return present([active_score_file(*cell) for cell in active_rounds()])


def missing_rounds():
    """The rounds that are missing, as `active_tables` wants to know them."""
    names = ("dataset", "model", "strategy", "seed", "round", "why")
    paths = {active_score_file(*cell): cell for cell in active_rounds()}
    return [dict(zip(names, (*cell, why))) for path, cell in paths.items() if (why := experiment.missing.get(path))]


def active_is_asked_for():
    """Whether the grid of active learning has a round at all."""
    active = experiment.active
    return all((active.datasets, active.models, active.strategies, active.seeds, active.rounds))


def active_figure_files():
    """Every figure of active learning, as png and as pdf."""
    if not active_is_asked_for():
        return []
    picks = expand("active_picks_{dataset}", dataset=experiment.active.datasets)
    of_all = ["learning_curves_cross_entropy", "learning_curves_dice", "active_composition", "pairwise_penalty"]
    return expand("results/figures/{figure}.{suffix}", figure=[*of_all, *picks], suffix=["png", "pdf"])


def full_data_summary(wildcards):
    """The table with the level of the same models trained on all images, if the main grid has any of them."""
    active = experiment.active
    both = set(active.datasets) & set(grid.datasets) and set(active.models) & set(grid.models)
    return ["results/tables/summary.csv"] if both else []


def full_data_argument(wildcards, input):
    return [f"--summary {path}" for path in input.summary]


def first_picks(wildcards):
    """What each strategy has labelled by round 1, of the first model and seed."""
    active = experiment.active
    cell = {"dataset": wildcards.dataset, "model": active.models[0], "seed": active.seeds[0]}
    return {strategy: labelled(SimpleNamespace(**cell, strategy=strategy), 1) for strategy in active.strategies}


def first_picks_files(wildcards):
    return present(first_picks(wildcards).values())

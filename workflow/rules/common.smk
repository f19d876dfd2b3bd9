# What all rules need: the validated config, the cells of the grid, the specs that decide what reruns.
import os
import sys

from segunc import config as settings

try:
    experiment = settings.load(config)
    for dataset in experiment.grid.datasets:
        settings.raw_data(experiment, dataset)
except settings.ConfigError as error:
    sys.exit(f"segunc: {error}")

grid = experiment.grid

# The random-threshold baseline needs the probability map of a plain U-Net.
plain_unet = [name for name in grid.models if experiment.models[name].method == "unet"]

# Jobs run the Python that runs Snakemake, also where no environment is activated, and this checkout's segunc.
os.environ.update(settings.job_environment(workflow.basedir))


def cells(pattern):
    """The files of all cells of the grid."""
    return expand(pattern, dataset=grid.datasets, model=grid.models, seed=grid.seeds)


# Snakemake does not record params whose function takes `input`: on what device a network runs does not belong to what
# a result depends on.
def device(wildcards, input):
    return experiment.device


def raw_input(wildcards):
    try:
        return settings.raw_data(experiment, wildcards.dataset)
    except settings.ConfigError as error:
        sys.exit(f"segunc: {error}")


def raw_arguments(wildcards, input):
    return [f"--raw {name}={path}" for name, path in input.items()]


def data_spec(wildcards):
    return settings.data_spec(experiment, wildcards.dataset)


def train_spec(wildcards):
    return settings.train_spec(experiment, wildcards.dataset, wildcards.model, int(wildcards.seed))


def sample_spec(wildcards):
    return settings.sample_spec(experiment, int(wildcards.seed))


def scores(file):
    """One kind of score file of every model and baseline."""
    return [
        *cells(f"results/scores/{{dataset}}/{{model}}/seed{{seed}}/{file}"),
        *expand(f"results/scores/{{dataset}}/baselines/{file}", dataset=grid.datasets),
        *expand(
            f"results/scores/{{dataset}}/baseline_threshold/seed{{seed}}/{file}",
            dataset=grid.datasets,
            seed=grid.seeds if plain_unet else [],
        ),
    ]


def figure_files():
    """Every figure of the grid, as png and as pdf."""
    of_each_dataset = expand("{figure}_{dataset}", figure=["uncertainty_maps", "samples"], dataset=grid.datasets)
    of_all = ["entropy_by_outcome", "entropy_by_agreement", "ged_by_samples"]
    return expand("results/figures/{figure}.{suffix}", figure=[*of_each_dataset, *of_all], suffix=["png", "pdf"])

# What all rules need: the validated config, the cells of the grid, the specs that decide what reruns.
import os
import sys

from segunc import config as settings

try:
    experiment = settings.load(config)
    raw_files = {name: settings.raw_data(experiment, name) for name in experiment.grid.datasets}
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


def gpus(wildcards):
    """One GPU per network job if the config asks for one, or if `auto` will find one on this machine."""
    present = os.path.exists("/dev/nvidiactl")
    return int(experiment.device == "cuda" or (experiment.device == "auto" and present))


def raw_input(wildcards):
    return raw_files[wildcards.dataset]


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

# What a job asks a scheduler for, and how it is stopped. On one machine Snakemake heeds memory only where it is given a
# limit (--resources mem_mb=...), and time never.
import json
from functools import cache

from segunc import resources as demand

# SLURM stops a job by SIGTERM to each of its processes, and kills what is left after 30 s. Without the trap the shell
# would end at once and the job with it, while a training still writes its checkpoint. `tee` would take the pipe away.
shell.prefix("set -euo pipefail; trap : TERM; tee() {{ (trap '' TERM; exec tee \"$@\"); }}; ")


def doubled(value):
    """A resource function: `value` at the first attempt, twice as much at each retry."""

    def resource(wildcards, attempt):
        return value * 2 ** (attempt - 1)

    return resource


@cache
def network_spec(dataset, model, active):
    spec_of = settings.active_train_spec if active else settings.train_spec
    return json.loads(spec_of(experiment, dataset, model, 0))


def spec_and_size(wildcards):
    """The spec of the network that a job trains or runs, but for its seed, and the images' height and width."""
    spec = network_spec(wildcards.dataset, wildcards.model, "strategy" in wildcards.keys())
    return spec, experiment.datasets[wildcards.dataset].size


def network_memory(wildcards, attempt):
    return demand.training_memory(*spec_and_size(wildcards)) * 2 ** (attempt - 1)


def training_minutes(wildcards, attempt, threads):
    return min(demand.DAY, demand.training_minutes(*spec_and_size(wildcards), threads) * 2 ** (attempt - 1))


# Seconds each, and thousands of them: not worth a place in a queue. Snakemake runs them where it was started.
localrules:
    active_start,
    pick_without_network,
    plot_contact_sheet,
    plot_uncertainty_maps,
    plot_samples,
    plot_entropy_by_outcome,
    plot_entropy_by_agreement,
    plot_ged_by_samples,
    plot_learning_curves,
    plot_active_composition,
    plot_active_picks,
    plot_pairwise_penalty,

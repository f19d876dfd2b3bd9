# The grid: reads the config, includes the rules of each stage, names the targets.
#
#   snakemake --cores 8                                                     the default grid: phantoms
#   snakemake --cores 8 --configfile workflow/presets/real-small.yaml       the real data, small nets
#   snakemake --cores 8 tables                                              up to a stage: data train samples tables figures
import inspect

from snakemake.utils import min_version

min_version("9.24")


report: "workflow/report/workflow.rst"


configfile: workflow.source_path("config.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/missing.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/active.smk"
include: "workflow/rules/active_figures.smk"


wildcard_constraints:
    dataset="|".join(experiment.datasets),
    model="|".join(experiment.models),
    seed=r"\d+",
    strategy="|".join(["start", *experiment.strategies]),
    round=r"\d+",


localrules:
    all,
    data,
    train,
    samples,
    tables,
    figures,
    active,


rule data:
    input:
        expand("results/data/{dataset}.h5", dataset=grid.datasets),


rule train:
    input:
        cells("results/models/{dataset}/{model}/seed{seed}/weights.pt"),


rule samples:
    input:
        cells("results/samples/{dataset}/{model}/seed{seed}.h5"),


rule tables:
    input:
        rules.make_tables.output,


rule figures:
    input:
        figure_files(),


rule active:
    input:
        rules.active_tables.output if active_is_asked_for() else [],
        active_figure_files(),


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        rules.active.input,


# With --keep-going, tables and figures are made of what there is, and say what is missing.
onerror:
    collect_what_there_is()


for stage in workflow.rules:
    if "provenance" in stage.output.keys():
        stage.set_input(force_if_outdated(stage.output, stage.params))
    # Snakemake asks for these with each job, and Python looks them up anew each time unless they are there.
    for function in filter(callable, [*stage.input, *stage.params, *stage.resources.values()]):
        function.__signature__ = inspect.signature(function)

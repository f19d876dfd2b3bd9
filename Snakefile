# The entry point: reads the config, includes the rules of each step, names the targets.
#
#   snakemake --cores 8                                                    the default grid: phantoms
#   snakemake --cores 8 --configfile workflow/presets/real-small.yaml      real data, small networks
#   snakemake --cores 8 tables                                             one target: data models samples tables figures active claims report
import os
import sys

from snakemake.utils import min_version

min_version("9.24")

# This checkout's segunc, even if another one is installed.
sys.path.insert(0, os.path.join(workflow.basedir, "src"))

from segunc.workflow import snakemake_internals

snakemake_internals.check_files(workflow)


report: "workflow/report/workflow.rst"


configfile: workflow.source_path("config.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/tabulate.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/active.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/active_figures.smk"
include: "workflow/rules/assemble.smk"
include: "workflow/rules/targets.smk"


# Must follow the includes: Snakemake adds constraints to the outputs of later rules before it expands pathvars.
# https://github.com/snakemake/snakemake/blob/main/src/snakemake/rules.py (_update_item_wildcard_constraints)
wildcard_constraints:
    dataset="|".join(experiment.datasets),
    model="|".join(experiment.models),
    strategy="|".join([cells.START, *experiment.strategies]),
    seed=r"0|[1-9]\d*",
    round=r"0|[1-9]\d*",
    metric="|".join(cells.LEARNING_CURVES),


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        rules.active.input,
        rules.claims.input,
        rules.report.input,
    message:
        "Everything is made."


onstart:
    snakemake_internals.notice_ctrl_c(workflow)
    snakemake_internals.start_job_server(workflow)
    print_in_lines()


onsuccess:
    prune_kept_results()
    print_answer()


# With --keep-going, tables and figures are built from the available results and list the missing ones.
onerror:
    print_end()
    partial_outputs.build(workflow, config)
    prune_kept_results()


snakemake_internals.finish_rules(workflow, experiment.keep)

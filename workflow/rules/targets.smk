# Named targets. Every file of the grid is a target as well.
FIGURES = ("contact_sheet", "uncertainty_maps", "sampled_masks", "entropy_by_outcome", "entropy_by_agreement")
FIGURES += ("ged_by_samples", "training_curves")
ACTIVE_FIGURES = ("learning_curves", "active_composition", "active_picks", "pairwise_penalty")


localrules:
    all,
    data,
    models,
    samples,
    tables,
    figures,
    active,
    claims,


rule data:
    input:
        files_of([rules.prepare.output.store], map(Cell, grid.datasets)),


rule models:
    input:
        files_of([rules.train.output.weights], cells.main_grid(grid.datasets, grid.models, grid.seeds)),


rule samples:
    input:
        files_of([rules.sample.output.samples], cells.main_grid(grid.datasets, grid.models, grid.seeds)),


rule tables:
    input:
        rules.tabulate.output,


rule figures:
    input:
        figure_files(FIGURES, grid.datasets),


rule active:
    input:
        rules.active_tabulate.output if cells.has_rounds(active) else [],
        figure_files(ACTIVE_FIGURES, active.datasets if cells.has_rounds(active) else []),


rule claims:
    input:
        rules.claims_tabulate.output,

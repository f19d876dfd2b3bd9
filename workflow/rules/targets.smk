# Named targets. Every file of the grid is a target as well.
FIGURES = ("contact_sheet", "uncertainty_maps", "sampled_masks", "entropy_by_outcome", "entropy_by_agreement")
FIGURES += ("ged_by_samples",)
ACTIVE_FIGURES = ("learning_curves", "active_composition", "active_picks", "pairwise_penalty")


localrules:
    all,
    data,
    models,
    samples,
    tables,
    figures,
    active,


def figure_files(names, datasets):
    """PNG and PDF of each figure, one pair per dataset or metric if its path has that wildcard."""
    outputs = [getattr(rules, f"plot_{name}").output for name in names]
    files = [file for output in outputs for file in (output.png, output.pdf)]
    return files_of(files, [Cell(d, metric=m) for d in datasets for m in cells.LEARNING_CURVES])


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

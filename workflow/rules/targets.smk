# Named targets. Every file of the grid is a target as well.
FIGURES = ("contact_sheet", "uncertainty_maps", "sampled_masks", "entropy_by_outcome", "entropy_by_agreement")
FIGURES += ("ged_by_samples", "ged_by_votes", "comparisons", "reliability", "risk_coverage", "training_curves")
FIGURES += ("cost_against_quality",)
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
    report,


rule data:
    input:
        files_of([rules.prepare.output.store], map(Cell, grid.datasets)),
    message:
        "All datasets are prepared."


rule models:
    input:
        files_of([rules.train.output.weights], cells.trainings(experiment)),
    message:
        "All networks are trained."


rule samples:
    input:
        files_of([rules.sample.output.samples], cells.main_grid(grid.datasets, grid.models, grid.seeds)),
    message:
        "All samples are there."


rule tables:
    input:
        rules.tabulate.output,
    message:
        "All tables are written."


rule figures:
    input:
        figure_files(FIGURES, grid.datasets),
    message:
        "All figures of the main grid are plotted."


rule active:
    input:
        rules.active_tabulate.output if cells.has_rounds(active) else [],
        figure_files(ACTIVE_FIGURES, active.datasets if cells.has_rounds(active) else []),
    message:
        "All tables and figures of active learning are there."


rule claims:
    input:
        rules.claims_tabulate.output,
        rules.answer.output,
    message:
        "The claims are judged."


rule report:
    input:
        rules.assemble.output.html,
    message:
        "The report is written."

# Figures of active learning: the study's figures 8 and 9, and what explains them.


use rule plot_contact_sheet as plot_learning_curves with:
    input:
        table=rules.active_tabulate.output.learning,
        seeds=rules.active_tabulate.output.seeds,
        summary=full_data_summary,
    output:
        png=figure("<run>/figures/learning_curves_{metric}.png", "Active learning", "Learning curves, {metric}"),
        pdf="<run>/figures/learning_curves_{metric}.pdf",
        record="<record>",
    pathvars:
        step="plot_learning_curves",
        cell="<of_run>{metric}",
    params:
        spec=spec("figure_of_active_learning"),
        code=code("figures.learning_curves"),
        figure="learning_curves",


use rule plot_contact_sheet as plot_active_composition with:
    input:
        table=rules.active_tabulate.output.picks,
    output:
        png=figure("<run>/figures/active_composition.png", "Active learning", "What is picked"),
        pdf="<run>/figures/active_composition.pdf",
        record="<record>",
    pathvars:
        step="plot_active_composition",
        cell="<of_run>all",
    params:
        spec=spec("figure_of_active_learning"),
        code=code("figures.active_composition"),
        figure="active_composition",


use rule plot_contact_sheet as plot_active_picks with:
    input:
        data=rules.prepare.output.store,
        labelled=first_picks,
    output:
        png=figure("<run>/figures/active_picks_<dataset>.png", "Active learning", "First picks"),
        pdf="<run>/figures/active_picks_<dataset>.pdf",
        record="<record>",
    pathvars:
        step="plot_active_picks",
        cell="<of_run><dataset>",
    params:
        spec=spec("active_picks"),
        code=code("figures.active_picks"),
        figure="active_picks",


use rule plot_contact_sheet as plot_pairwise_penalty with:
    input:
        table=rules.active_tabulate.output.penalty,
    output:
        png=figure("<run>/figures/pairwise_penalty.png", "Active learning", "Pairwise penalty"),
        pdf="<run>/figures/pairwise_penalty.pdf",
        record="<record>",
    pathvars:
        step="plot_pairwise_penalty",
        cell="<of_run>all",
    params:
        spec=spec("figure_of_active_learning"),
        code=code("figures.pairwise_penalty"),
        figure="pairwise_penalty",

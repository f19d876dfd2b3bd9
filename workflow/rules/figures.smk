# Figures of the main grid, each as PNG for the report and as PDF for papers. All differ from the first in their input,
# output, spec and module.


rule plot_contact_sheet:
    input:
        data=rules.prepare.output.store,
    output:
        png=figure("<run>/figures/contact_sheet_<dataset>.png", "Data", "Images and annotators"),
        pdf="<run>/figures/contact_sheet_<dataset>.pdf",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="plot_contact_sheet",
        cell="<of_run><dataset>",
    localrule: True
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(30),
    params:
        spec=spec("contact_sheet"),
        code=code("figures.contact_sheet"),
        figure="contact_sheet",
        input=input_options,
        cell=cell_options,
    message:
        "Plotting {params.figure} {wildcards}"
    shell:
        "python -m segunc.runtime.start {params.job}"
        " {params.cell}"
        " {params.input}"
        " --png {output.png}"
        " --pdf {output.pdf}"
        " > {log} 2>&1"


use rule plot_contact_sheet as plot_training_curves with:
    input:
        histories=histories_of_runs,
    output:
        png=figure("<run>/figures/training_curves_<dataset>.png", "Figures", "Training curves"),
        pdf="<run>/figures/training_curves_<dataset>.pdf",
        record="<record>",
    pathvars:
        step="plot_training_curves",
        cell="<of_run><dataset>",
    params:
        spec=spec("training_curves"),
        code=code("figures.training_curves"),
        figure="training_curves",


use rule plot_contact_sheet as plot_uncertainty_maps with:
    input:
        data=rules.prepare.output.store,
        samples=samples_of_models,
    output:
        png=figure("<run>/figures/uncertainty_maps_<dataset>.png", "Figures", "Uncertainty maps"),
        pdf="<run>/figures/uncertainty_maps_<dataset>.pdf",
        record="<record>",
    pathvars:
        step="plot_uncertainty_maps",
        cell="<of_run><dataset>",
    params:
        spec=spec("figure_of_samples"),
        code=code("figures.uncertainty_maps"),
        figure="uncertainty_maps",


use rule plot_contact_sheet as plot_sampled_masks with:
    input:
        data=rules.prepare.output.store,
        samples=samples_of_models,
        summary=rules.tabulate.output.summary,
    output:
        png=figure("<run>/figures/sampled_masks_<dataset>.png", "Figures", "Sampled masks"),
        pdf="<run>/figures/sampled_masks_<dataset>.pdf",
        record="<record>",
    pathvars:
        step="plot_sampled_masks",
        cell="<of_run><dataset>",
    params:
        spec=spec("figure_of_samples"),
        code=code("figures.sampled_masks"),
        figure="sampled_masks",


use rule plot_contact_sheet as plot_entropy_by_outcome with:
    input:
        means="<run>/tables/uncertainty_by_outcome.csv",
        histograms="<run>/tables/entropy_histograms.csv",
    output:
        png=figure("<run>/figures/entropy_by_outcome.png", "Figures", "Uncertainty by outcome"),
        pdf="<run>/figures/entropy_by_outcome.pdf",
        record="<record>",
    pathvars:
        step="plot_entropy_by_outcome",
        cell="<of_run>all",
    params:
        spec=spec("figure"),
        code=code("figures.entropy_by_outcome"),
        figure="entropy_by_outcome",


use rule plot_contact_sheet as plot_entropy_by_agreement with:
    input:
        means="<run>/tables/uncertainty_by_agreement.csv",
        histograms="<run>/tables/entropy_histograms.csv",
    output:
        png=figure("<run>/figures/entropy_by_agreement.png", "Figures", "Uncertainty by agreement"),
        pdf="<run>/figures/entropy_by_agreement.pdf",
        record="<record>",
    pathvars:
        step="plot_entropy_by_agreement",
        cell="<of_run>all",
    params:
        spec=spec("figure"),
        code=code("figures.entropy_by_agreement"),
        figure="entropy_by_agreement",


use rule plot_contact_sheet as plot_ged_by_samples with:
    input:
        summary=rules.tabulate.output.summary,
    output:
        png=figure("<run>/figures/ged_by_samples.png", "Figures", "GED by number of samples"),
        pdf="<run>/figures/ged_by_samples.pdf",
        record="<record>",
    pathvars:
        step="plot_ged_by_samples",
        cell="<of_run>all",
    params:
        spec=spec("figure"),
        code=code("figures.ged_by_samples"),
        figure="ged_by_samples",


use rule plot_contact_sheet as plot_ged_by_votes with:
    input:
        table="<run>/tables/ged_by_votes.csv",
    output:
        png=figure("<run>/figures/ged_by_votes.png", "Figures", "GED by votes"),
        pdf="<run>/figures/ged_by_votes.pdf",
        record="<record>",
    pathvars:
        step="plot_ged_by_votes",
        cell="<of_run>all",
    params:
        spec=spec("figure"),
        code=code("figures.ged_by_votes"),
        figure="ged_by_votes",


use rule plot_contact_sheet as plot_comparisons with:
    input:
        table="<run>/tables/comparisons.csv",
    output:
        png=figure("<run>/figures/comparisons_<dataset>.png", "Figures", "Differences between models"),
        pdf="<run>/figures/comparisons_<dataset>.pdf",
        record="<record>",
    pathvars:
        step="plot_comparisons",
        cell="<of_run><dataset>",
    params:
        spec=spec("figure_of_dataset"),
        code=code("figures.comparisons"),
        figure="comparisons",


use rule plot_contact_sheet as plot_reliability with:
    input:
        bins="<run>/tables/reliability.csv",
        errors="<run>/tables/calibration.csv",
    output:
        png=figure("<run>/figures/reliability.png", "Figures", "Calibration"),
        pdf="<run>/figures/reliability.pdf",
        record="<record>",
    pathvars:
        step="plot_reliability",
        cell="<of_run>all",
    params:
        spec=spec("figure"),
        code=code("figures.reliability"),
        figure="reliability",


use rule plot_contact_sheet as plot_risk_coverage with:
    input:
        table="<run>/tables/risk_coverage.csv",
    output:
        png=figure("<run>/figures/risk_coverage.png", "Figures", "Risk and coverage"),
        pdf="<run>/figures/risk_coverage.pdf",
        record="<record>",
    pathvars:
        step="plot_risk_coverage",
        cell="<of_run>all",
    params:
        spec=spec("figure"),
        code=code("figures.risk_coverage"),
        figure="risk_coverage",


use rule plot_contact_sheet as plot_cost_against_quality with:
    input:
        summary=rules.tabulate.output.summary,
    output:
        png=figure("<run>/figures/cost_against_quality.png", "Figures", "Cost against quality"),
        pdf="<run>/figures/cost_against_quality.pdf",
        record="<record>",
    pathvars:
        step="plot_cost_against_quality",
        cell="<of_run>all",
    params:
        spec=spec("cost_against_quality"),
        code=code("figures.cost_against_quality"),
        figure="cost_against_quality",

# Figures of the main grid, each as PNG for the report and as PDF for papers. All differ from the first in their input,
# output, spec and module.


rule plot_contact_sheet:
    input:
        data=rules.prepare.output.store,
    output:
        png=figure("<results>/figures/contact_sheet_<dataset>.png", "Data", "Images and annotators"),
        pdf="<results>/figures/contact_sheet_<dataset>.pdf",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="plot_contact_sheet",
        cell="<dataset>",
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
        png=figure("<results>/figures/training_curves_<dataset>.png", "Figures", "Training curves"),
        pdf="<results>/figures/training_curves_<dataset>.pdf",
        record="<record>",
    pathvars:
        step="plot_training_curves",
        cell="<dataset>",
    params:
        spec=spec("training_curves"),
        code=code("figures.training_curves"),
        figure="training_curves",


use rule plot_contact_sheet as plot_uncertainty_maps with:
    input:
        data=rules.prepare.output.store,
        samples=samples_of_models,
    output:
        png=figure("<results>/figures/uncertainty_maps_<dataset>.png", "Figures", "Uncertainty maps"),
        pdf="<results>/figures/uncertainty_maps_<dataset>.pdf",
        record="<record>",
    pathvars:
        step="plot_uncertainty_maps",
        cell="<dataset>",
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
        png=figure("<results>/figures/sampled_masks_<dataset>.png", "Figures", "Sampled masks"),
        pdf="<results>/figures/sampled_masks_<dataset>.pdf",
        record="<record>",
    pathvars:
        step="plot_sampled_masks",
        cell="<dataset>",
    params:
        spec=spec("figure_of_samples"),
        code=code("figures.sampled_masks"),
        figure="sampled_masks",


use rule plot_contact_sheet as plot_entropy_by_outcome with:
    input:
        means="<results>/tables/uncertainty_by_outcome.csv",
        histograms="<results>/tables/entropy_histograms.csv",
    output:
        png=figure("<results>/figures/entropy_by_outcome.png", "Figures", "Uncertainty by outcome"),
        pdf="<results>/figures/entropy_by_outcome.pdf",
        record="<record>",
    pathvars:
        step="plot_entropy_by_outcome",
        cell="all",
    params:
        spec=spec("figure"),
        code=code("figures.entropy_by_outcome"),
        figure="entropy_by_outcome",


use rule plot_contact_sheet as plot_entropy_by_agreement with:
    input:
        means="<results>/tables/uncertainty_by_agreement.csv",
        histograms="<results>/tables/entropy_histograms.csv",
    output:
        png=figure("<results>/figures/entropy_by_agreement.png", "Figures", "Uncertainty by agreement"),
        pdf="<results>/figures/entropy_by_agreement.pdf",
        record="<record>",
    pathvars:
        step="plot_entropy_by_agreement",
        cell="all",
    params:
        spec=spec("figure"),
        code=code("figures.entropy_by_agreement"),
        figure="entropy_by_agreement",


use rule plot_contact_sheet as plot_ged_by_samples with:
    input:
        summary=rules.tabulate.output.summary,
    output:
        png=figure("<results>/figures/ged_by_samples.png", "Figures", "GED by number of samples"),
        pdf="<results>/figures/ged_by_samples.pdf",
        record="<record>",
    pathvars:
        step="plot_ged_by_samples",
        cell="all",
    params:
        spec=spec("figure"),
        code=code("figures.ged_by_samples"),
        figure="ged_by_samples",


use rule plot_contact_sheet as plot_ged_by_votes with:
    input:
        table="<results>/tables/ged_by_votes.csv",
    output:
        png=figure("<results>/figures/ged_by_votes.png", "Figures", "GED by votes"),
        pdf="<results>/figures/ged_by_votes.pdf",
        record="<record>",
    pathvars:
        step="plot_ged_by_votes",
        cell="all",
    params:
        spec=spec("figure"),
        code=code("figures.ged_by_votes"),
        figure="ged_by_votes",


use rule plot_contact_sheet as plot_comparisons with:
    input:
        table="<results>/tables/comparisons.csv",
    output:
        png=figure("<results>/figures/comparisons_<dataset>.png", "Figures", "Differences between models"),
        pdf="<results>/figures/comparisons_<dataset>.pdf",
        record="<record>",
    pathvars:
        step="plot_comparisons",
        cell="<dataset>",
    params:
        spec=spec("figure_of_dataset"),
        code=code("figures.comparisons"),
        figure="comparisons",


use rule plot_contact_sheet as plot_reliability with:
    input:
        bins="<results>/tables/reliability.csv",
        errors="<results>/tables/calibration.csv",
    output:
        png=figure("<results>/figures/reliability.png", "Figures", "Calibration"),
        pdf="<results>/figures/reliability.pdf",
        record="<record>",
    pathvars:
        step="plot_reliability",
        cell="all",
    params:
        spec=spec("figure"),
        code=code("figures.reliability"),
        figure="reliability",


use rule plot_contact_sheet as plot_risk_coverage with:
    input:
        table="<results>/tables/risk_coverage.csv",
    output:
        png=figure("<results>/figures/risk_coverage.png", "Figures", "Risk and coverage"),
        pdf="<results>/figures/risk_coverage.pdf",
        record="<record>",
    pathvars:
        step="plot_risk_coverage",
        cell="all",
    params:
        spec=spec("figure"),
        code=code("figures.risk_coverage"),
        figure="risk_coverage",

# Tables, samples and images to the study's figures: each as png for the report and as pdf for papers.


rule plot_contact_sheet:
    input:
        data="results/data/{dataset}.h5",
    output:
        png=report(
            "results/figures/contact_sheet_{dataset}.png",
            caption="../report/contact_sheet.rst",
            category="Data",
            labels={"figure": "Images and annotators", "dataset": "{dataset}"},
        ),
        pdf="results/figures/contact_sheet_{dataset}.pdf",
        provenance="results/provenance/plot_contact_sheet/{dataset}.json",
    log:
        "results/logs/plot_contact_sheet/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_contact_sheet/{dataset}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(2000),
        runtime=doubled(15),
    params:
        spec=store_spec,
        code=code("figures.contact_sheet"),
    message:
        "Drawing images of {wildcards.dataset}"
    shell:
        "python -m segunc.figures.contact_sheet "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--dataset {wildcards.dataset} --data {input.data} --png {output.png} --pdf {output.pdf} "
        "> {log} 2>&1"


rule plot_uncertainty_maps:
    input:
        data="results/data/{dataset}.h5",
        samples=samples_of_models,
    output:
        png=report(
            "results/figures/uncertainty_maps_{dataset}.png",
            caption="../report/uncertainty_maps.rst",
            category="Figures",
            labels={"figure": "Uncertainty maps", "dataset": "{dataset}"},
        ),
        pdf="results/figures/uncertainty_maps_{dataset}.pdf",
        provenance="results/provenance/plot_uncertainty_maps/{dataset}.json",
    log:
        "results/logs/plot_uncertainty_maps/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_uncertainty_maps/{dataset}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(30),
    params:
        spec=images_spec,
        code=code("figures.uncertainty_maps"),
    message:
        "Drawing uncertainty maps of {wildcards.dataset}"
    shell:
        "python -m segunc.figures.uncertainty_maps "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--dataset {wildcards.dataset} --data {input.data} --samples {input.samples} "
        "--png {output.png} --pdf {output.pdf} > {log} 2>&1"


rule plot_samples:
    input:
        data="results/data/{dataset}.h5",
        samples=samples_of_models,
        summary="results/tables/summary.csv",
    output:
        png=report(
            "results/figures/samples_{dataset}.png",
            caption="../report/samples.rst",
            category="Figures",
            labels={"figure": "Sampled masks", "dataset": "{dataset}"},
        ),
        pdf="results/figures/samples_{dataset}.pdf",
        provenance="results/provenance/plot_samples/{dataset}.json",
    log:
        "results/logs/plot_samples/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_samples/{dataset}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(30),
    params:
        spec=images_spec,
        code=code("figures.samples"),
    message:
        "Drawing sampled masks of {wildcards.dataset}"
    shell:
        "python -m segunc.figures.samples "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--dataset {wildcards.dataset} --data {input.data} --samples {input.samples} "
        "--summary {input.summary} --png {output.png} --pdf {output.pdf} > {log} 2>&1"


rule plot_entropy_by_outcome:
    input:
        means="results/tables/uncertainty_by_outcome.csv",
        histograms="results/tables/entropy_histograms.csv",
    output:
        png=report(
            "results/figures/entropy_by_outcome.png",
            caption="../report/entropy_by_outcome.rst",
            category="Figures",
            labels={"figure": "Uncertainty by outcome", "dataset": "all"},
        ),
        pdf="results/figures/entropy_by_outcome.pdf",
        provenance="results/provenance/plot_entropy_by_outcome.json",
    log:
        "results/logs/plot_entropy_by_outcome.log",
    benchmark:
        "results/benchmarks/plot_entropy_by_outcome.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(2000),
        runtime=doubled(15),
    params:
        spec=figure_spec,
        code=code("figures.entropy_by_outcome"),
    message:
        "Drawing uncertainty by outcome"
    shell:
        "python -m segunc.figures.entropy_by_outcome "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--means {input.means} --histograms {input.histograms} --png {output.png} --pdf {output.pdf} > {log} 2>&1"


rule plot_entropy_by_agreement:
    input:
        means="results/tables/uncertainty_by_agreement.csv",
        histograms="results/tables/entropy_histograms.csv",
    output:
        png=report(
            "results/figures/entropy_by_agreement.png",
            caption="../report/entropy_by_agreement.rst",
            category="Figures",
            labels={"figure": "Uncertainty by agreement", "dataset": "all"},
        ),
        pdf="results/figures/entropy_by_agreement.pdf",
        provenance="results/provenance/plot_entropy_by_agreement.json",
    log:
        "results/logs/plot_entropy_by_agreement.log",
    benchmark:
        "results/benchmarks/plot_entropy_by_agreement.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(2000),
        runtime=doubled(15),
    params:
        spec=figure_spec,
        code=code("figures.entropy_by_agreement"),
    message:
        "Drawing uncertainty by annotator agreement"
    shell:
        "python -m segunc.figures.entropy_by_agreement "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--means {input.means} --histograms {input.histograms} --png {output.png} --pdf {output.pdf} > {log} 2>&1"


rule plot_ged_by_samples:
    input:
        "results/tables/summary.csv",
    output:
        png=report(
            "results/figures/ged_by_samples.png",
            caption="../report/ged_by_samples.rst",
            category="Figures",
            labels={"figure": "GED by number of samples", "dataset": "all"},
        ),
        pdf="results/figures/ged_by_samples.pdf",
        provenance="results/provenance/plot_ged_by_samples.json",
    log:
        "results/logs/plot_ged_by_samples.log",
    benchmark:
        "results/benchmarks/plot_ged_by_samples.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(2000),
        runtime=doubled(15),
    params:
        spec=figure_spec,
        code=code("figures.ged_by_samples"),
    message:
        "Drawing GED by number of samples"
    shell:
        "python -m segunc.figures.ged_by_samples "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--summary {input} --png {output.png} --pdf {output.pdf} > {log} 2>&1"

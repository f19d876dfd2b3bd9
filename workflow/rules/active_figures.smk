# Tables and picks of active learning to figures: the study's figures 8 and 9, and what explains them.


rule plot_learning_curves:
    input:
        table="results/tables/active_learning.csv",
        summary=full_data_summary,
    output:
        png=report(
            "results/figures/learning_curves_{metric}.png",
            caption="../report/learning_curves.rst",
            category="Active learning",
            labels={"figure": "Learning curves, {metric}", "dataset": "all"},
        ),
        pdf="results/figures/learning_curves_{metric}.pdf",
        provenance="results/provenance/plot_learning_curves/{metric}.json",
    log:
        "results/logs/plot_learning_curves/{metric}.log",
    benchmark:
        "results/benchmarks/plot_learning_curves/{metric}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(2000),
        runtime=doubled(15),
    params:
        spec=learning_curves_spec,
        code=code("figures.learning_curves"),
        summary=full_data_argument,
    message:
        "Drawing learning curves in {wildcards.metric}"
    shell:
        "python -m segunc.figures.learning_curves "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--table {input.table} {params.summary} --metric {wildcards.metric} --png {output.png} --pdf {output.pdf} "
        "> {log} 2>&1"


rule plot_active_composition:
    input:
        "results/tables/active_learning.csv",
    output:
        png=report(
            "results/figures/active_composition.png",
            caption="../report/active_composition.rst",
            category="Active learning",
            labels={"figure": "What is picked", "dataset": "all"},
        ),
        pdf="results/figures/active_composition.pdf",
        provenance="results/provenance/plot_active_composition.json",
    log:
        "results/logs/plot_active_composition.log",
    benchmark:
        "results/benchmarks/plot_active_composition.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(2000),
        runtime=doubled(15),
    params:
        spec=active_figure_spec,
        code=code("figures.active_composition"),
    message:
        "Drawing what the strategies pick"
    shell:
        "python -m segunc.figures.active_composition "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--table {input} --png {output.png} --pdf {output.pdf} > {log} 2>&1"


rule plot_active_picks:
    input:
        data="results/data/{dataset}.h5",
        labelled=first_picks_files,
    output:
        png=report(
            "results/figures/active_picks_{dataset}.png",
            caption="../report/active_picks.rst",
            category="Active learning",
            labels={"figure": "First picks", "dataset": "{dataset}"},
        ),
        pdf="results/figures/active_picks_{dataset}.pdf",
        provenance="results/provenance/plot_active_picks/{dataset}.json",
    log:
        "results/logs/plot_active_picks/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_active_picks/{dataset}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(30),
    params:
        spec=picks_spec,
        code=code("figures.active_picks"),
    message:
        "Drawing the first picks among {wildcards.dataset}"
    shell:
        "python -m segunc.figures.active_picks "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--dataset {wildcards.dataset} --data {input.data} "
        "--labelled {input.labelled} --png {output.png} --pdf {output.pdf} "
        "> {log} 2>&1"


rule plot_pairwise_penalty:
    input:
        "results/tables/pairwise_penalty.csv",
    output:
        png=report(
            "results/figures/pairwise_penalty.png",
            caption="../report/pairwise_penalty.rst",
            category="Active learning",
            labels={"figure": "Pairwise penalty", "dataset": "all"},
        ),
        pdf="results/figures/pairwise_penalty.pdf",
        provenance="results/provenance/plot_pairwise_penalty.json",
    log:
        "results/logs/plot_pairwise_penalty.log",
    benchmark:
        "results/benchmarks/plot_pairwise_penalty.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(2000),
        runtime=doubled(15),
    params:
        spec=active_figure_spec,
        code=code("figures.pairwise_penalty"),
    message:
        "Drawing which strategy loses to which"
    shell:
        "python -m segunc.figures.pairwise_penalty "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--table {input} --png {output.png} --pdf {output.pdf} > {log} 2>&1"

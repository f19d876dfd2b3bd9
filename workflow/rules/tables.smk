# All scores to the study's tables.

TABLES = [
    "summary.md",
    "uncertainty_by_outcome.csv",
    "uncertainty_by_agreement.csv",
    "entropy_histograms.csv",
    "ged_by_votes.csv",
    "comparisons.csv",
    "exclusions.csv",
    "missing.csv",
]


rule make_tables:
    input:
        data=present(expand("results/data/{dataset}.h5", dataset=grid.datasets)),
        images=scores("images.csv"),
        pixels=scores("pixels.csv.gz"),
    output:
        report(
            "results/tables/summary.csv",
            caption="../report/summary.rst",
            category="Tables",
            labels={"table": "Summary: all models and baselines"},
        ),
        expand("results/tables/{table}", table=TABLES),
        provenance="results/provenance/tables.json",
    log:
        "results/logs/tables.log",
    benchmark:
        "results/benchmarks/tables.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(60),
    params:
        spec=tables_spec,
        code=code("tables"),
    message:
        "Writing tables"
    shell:
        "python -m segunc.tables "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--data {input.data} --scores results/scores --output results/tables > {log} 2>&1"

# From all scores to the study's tables.


rule tabulate:
    input:
        data=present([("prepare", Cell(dataset)) for dataset in grid.datasets], "store"),
        images=listed(present(SCORED, "images")),
        levels=listed(present(SCORED, "levels")),
        pixels=listed(present(SCORED, "pixels")),
        calibration=listed(present(SCORED, "calibration")),
    output:
        summary=report(
            "<run>/tables/summary.csv",
            caption="../report/tables/summary.rst",
            category="Tables",
            labels={"table": "Summary: all models and baselines"},
        ),
        tables=expand(
            "<run>/tables/{table}.csv",
            table=[
                "uncertainty_by_outcome",
                "uncertainty_by_agreement",
                "entropy_histograms",
                "ged_by_votes",
                "comparisons",
                "failure_detection",
                "risk_coverage",
                "calibration",
                "reliability",
                "exclusions",
                "empty_masks",
                "images_wide",
                "missing",
            ],
        ),
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="tabulate",
        cell="<of_run>all",
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(60),
    params:
        spec=spec("tabulate"),
        code=code("stages.tabulate"),
        input=input_options,
    message:
        "Writing the tables"
    shell:
        "python -m segunc.runtime.start {params.job}"
        " {params.input}"
        " --tables {output.summary} {output.tables}"
        " > {log} 2>&1"

# From all scores of models and of rounds to the verdicts on the study's claims.


rule claims_tabulate:
    input:
        images=listed(present([step for step in SCORED if step[0] == "evaluate"], "images")),
        rounds=listed(present(SCORED_ROUNDS if cells.has_rounds(active) else [], "images")),
        picks=[rules.active_tabulate.output.picks] if cells.has_rounds(active) else [],
    output:
        claims=report(
            "<results>/tables/claims.csv",
            caption="../report/claims.rst",
            category="Tables",
            labels={"table": "Claims of the study: verdicts"},
        ),
        markdown="<results>/tables/claims.md",
        published="<results>/tables/paper_comparison.csv",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="claims_tabulate",
        cell="all",
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(60),
    params:
        spec=spec("claims_tabulate"),
        code=code("stages.claims_tabulate"),
        input=input_options,
    message:
        "Judging the claims of the study"
    shell:
        "python -m segunc.runtime.start {params.job}"
        " {params.input}"
        " --claims {output.claims}"
        " --markdown {output.markdown}"
        " --published {output.published}"
        " > {log} 2>&1"

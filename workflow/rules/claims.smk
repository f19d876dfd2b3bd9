# From all scores of models and of rounds to the verdicts on the study's claims, and to the answer.


rule claims_tabulate:
    input:
        images=listed(present([step for step in SCORED if step[0] == "evaluate"], "images")),
        rounds=listed(present(SCORED_ROUNDS if cells.has_rounds(active) else [], "images")),
        picks=[rules.active_tabulate.output.picks] if cells.has_rounds(active) else [],
    output:
        claims=report(
            "<run>/tables/claims.csv",
            caption="../report/tables/claims.rst",
            category="Tables",
            labels={"table": "Claims of the study: verdicts"},
        ),
        markdown="<run>/tables/claims.md",
        published="<run>/tables/paper_comparison.csv",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="claims_tabulate",
        cell="<of_run>all",
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


rule answer:
    input:
        claims=rules.claims_tabulate.output.claims,
        summary=rules.tabulate.output.summary,
        comparisons="<run>/tables/comparisons.csv",
        failures="<run>/tables/failure_detection.csv",
        empty="<run>/tables/empty_masks.csv",
        missing="<run>/tables/missing.csv",
        rounds=[rules.active_tabulate.output.missing] if cells.has_rounds(active) else [],
    output:
        answered="<run>/answer.md",
        markdown="<run>/tables/summary.md",
        latex="<run>/tables/summary.tex",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="answer",
        cell="<of_run>all",
    localrule: True
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(30),
    params:
        spec=spec("answer"),
        code=code("stages.answer"),
        input=input_options,
    message:
        "Writing the answer"
    shell:
        "python -m segunc.runtime.start {params.job}"
        " {params.input}"
        " --answered {output.answered}"
        " --markdown {output.markdown}"
        " --latex {output.latex}"
        " > {log} 2>&1"

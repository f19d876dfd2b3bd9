# The report: one page with the answer, claims, figures, tables and test images of a run.


rule assemble:
    input:
        answer=answer_present,
        claims=claims_present,
        figures=figures_present,
        tables=tables_present,
        data=stores_present,
        samples=samples_of_tested,
        scores=scores_of_tested,
    output:
        html=report(
            "<run>/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"page": "The report: open this first"},
        ),
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="assemble",
        cell="<of_run>all",
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(60),
    params:
        spec=report_spec,
        code=code("stages.assemble"),
        input=input_options,
        records=records_folder,
    message:
        "Writing the report"
    shell:
        "python -m segunc.runtime.start {params.job}"
        " {params.input}"
        " --records {params.records}"
        " --html {output.html}"
        " > {log} 2>&1"

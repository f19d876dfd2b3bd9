# Scores per test image, of models and of baselines on the same scale. No network runs here.


rule evaluate:
    input:
        data=rules.prepare.output.store,
        samples=samples_of_cell,
    output:
        images="<results>/scores/<cell>/images.csv",
        levels="<results>/scores/<cell>/levels.csv",
        pixels="<results>/scores/<cell>/pixels.csv.gz",
        calibration="<results>/scores/<cell>/calibration.csv.gz",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="evaluate",
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(60),
    params:
        spec=NO_SETTINGS,
        code=code("stages.evaluate"),
        input=input_options,
        cell=cell_options,
    message:
        "Scoring {wildcards}"
    shell:
        "python -m segunc.runtime.start {params.job}"
        " {params.cell}"
        " {params.input}"
        " --scores {output.images} {output.levels} {output.pixels} {output.calibration}"
        " > {log} 2>&1"


use rule evaluate as baselines with:
    input:
        data=rules.prepare.output.store,
    pathvars:
        step="baselines",
        cell="<dataset>/baselines/<seed>",
    params:
        code=code("stages.baselines"),
    message:
        "Scoring baselines {wildcards}"

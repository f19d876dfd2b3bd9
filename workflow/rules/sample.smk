# All samples of a model, once: from a trained network, or from the files of another program.

# A wildcard constraint that matches nothing, if there are none.
IMPORTED = [name for name, model in experiment.models.items() if model.imported] or ["(?!)"]
SAMPLED = [name for name in experiment.models if name not in IMPORTED] or ["(?!)"]


rule sample:
    input:
        data=rules.prepare.output.store,
        weights=weights_behind,
    output:
        samples="<results>/samples/<cell>.h5",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="sample",
    wildcard_constraints:
        model="|".join(SAMPLED),
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=network_memory,
        runtime=doubled(120),
        gpu=GPUS,
    params:
        spec=spec("sample", "model", "seed"),
        code=code("stages.sample", "models"),
        name=job_name,
        device=on_device,
    message:
        "Sampling {wildcards}"
    shell:
        "python -m segunc.runtime.start {params.job}"
        " --data {input.data}"
        " --weights {input.weights}"
        " --name {params.name:q}"
        " --device {params.device} --threads {threads}"
        " --samples {output.samples}"
        " 2>&1 | tee {log}"


rule import_predictions:
    input:
        data=rules.prepare.output.store,
        predictions=predictions_of,
    output:
        samples="<results>/samples/<cell>.h5",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="import_predictions",
    wildcard_constraints:
        model="|".join(IMPORTED),
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=doubled(2000),
        runtime=doubled(60),
    params:
        spec=import_spec,
        code=code("stages.import_predictions", "models"),
        name=job_name,
    message:
        "Reading predictions {wildcards}"
    shell:
        "python -m segunc.runtime.start {params.job}"
        " --data {input.data}"
        " --predictions {input.predictions:q}"
        " --name {params.name:q}"
        " --samples {output.samples}"
        " > {log} 2>&1"

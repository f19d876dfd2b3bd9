# All samples from a trained network, once.


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

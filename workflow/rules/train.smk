# One network per dataset, model and seed.


rule train:
    input:
        data=rules.prepare.output.store,
    output:
        weights="<results>/models/<cell>/weights.pt",
        history="<results>/models/<cell>/history.csv",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="train",
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=network_memory,
        runtime=training_minutes,
        gpu=GPUS,
    params:
        spec=spec("train"),
        code=code("stages.train", "models"),
        name=job_name,
        device=on_device,
        checkpoints=checkpoints,
    message:
        "Training {wildcards}"
    shell:
        "python -m segunc.runtime.start {params.job}"
        " --data {input.data}"
        " --name {params.name:q}"
        " --device {params.device} --threads {threads}"
        " --weights {output.weights}"
        " --history {output.history}"
        " --checkpoints {params.checkpoints}"
        " 2>&1 | tee {log}"

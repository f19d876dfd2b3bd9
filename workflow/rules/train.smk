# One network per dataset, model and seed.


rule train_model:
    input:
        "results/data/{dataset}.h5",
    output:
        weights="results/models/{dataset}/{model}/seed{seed}/weights.pt",
        history="results/models/{dataset}/{model}/seed{seed}/history.csv",
        spec="results/models/{dataset}/{model}/seed{seed}/spec.json",
    log:
        "results/logs/train/{dataset}/{model}/seed{seed}.log",
    benchmark:
        "results/benchmarks/train/{dataset}/{model}/seed{seed}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: experiment.threads
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=settings.gpus(experiment),
    params:
        spec=train_spec,
        device=device,
    message:
        "Training {wildcards.model} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "python -m segunc.train --data {input} --spec {params.spec:q} "
        "--name '{wildcards.dataset} {wildcards.model} seed {wildcards.seed}' "
        "--device {params.device} --threads {threads} "
        "--weights {output.weights} --history {output.history} --spec-file {output.spec} 2>&1 | tee {log}"

# One network per dataset, model and seed.


rule train_model:
    input:
        "results/data/{dataset}.h5",
    output:
        weights="results/models/{dataset}/{model}/seed{seed}/weights.pt",
        history="results/models/{dataset}/{model}/seed{seed}/history.csv",
        provenance="results/provenance/train/{dataset}/{model}/seed{seed}.json",
    log:
        "results/logs/train/{dataset}/{model}/seed{seed}.log",
    benchmark:
        "results/benchmarks/train/{dataset}/{model}/seed{seed}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: experiment.threads
    resources:
        mem_mb=network_memory,
        runtime=training_minutes,
        gpu=settings.gpus(experiment),
    params:
        spec=train_spec,
        code=code("train", "models"),
        device=device,
    message:
        "Training {wildcards.model} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "python -m segunc.train "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--data {input} --name '{wildcards.dataset} {wildcards.model} seed {wildcards.seed}' --device {params.device} "
        "--threads {threads} --weights {output.weights} --history {output.history} "
        "--checkpoints results/checkpoints/train/{wildcards.dataset}/{wildcards.model}/seed{wildcards.seed} "
        "2>&1 | tee {log}"

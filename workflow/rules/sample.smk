# Every draw from a trained network, once.


rule sample:
    input:
        data="results/data/{dataset}.h5",
        weights="results/models/{dataset}/{model}/seed{seed}/weights.pt",
    output:
        samples="results/samples/{dataset}/{model}/seed{seed}.h5",
        provenance="results/provenance/sample/{dataset}/{model}/seed{seed}.json",
    log:
        "results/logs/sample/{dataset}/{model}/seed{seed}.log",
    benchmark:
        "results/benchmarks/sample/{dataset}/{model}/seed{seed}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: experiment.threads
    resources:
        mem_mb=network_memory,
        runtime=doubled(120),
        gpu=settings.gpus(experiment),
    params:
        spec=sample_spec,
        code=code("sample", "models"),
        device=device,
    message:
        "Sampling {wildcards.model} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "python -m segunc.sample "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--data {input.data} --weights {input.weights} "
        "--name '{wildcards.dataset} {wildcards.model} seed {wildcards.seed}' --device {params.device} "
        "--threads {threads} --output {output.samples} 2>&1 | tee {log}"

# Scores per test image, of models and of baselines on the same scale. No network runs here.


rule evaluate:
    input:
        data="results/data/{dataset}.h5",
        samples="results/samples/{dataset}/{model}/seed{seed}.h5",
    output:
        images="results/scores/{dataset}/{model}/seed{seed}/images.csv",
        pixels="results/scores/{dataset}/{model}/seed{seed}/pixels.csv.gz",
        provenance="results/provenance/evaluate/{dataset}/{model}/seed{seed}.json",
    log:
        "results/logs/evaluate/{dataset}/{model}/seed{seed}.log",
    benchmark:
        "results/benchmarks/evaluate/{dataset}/{model}/seed{seed}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(60),
    params:
        spec=NO_SETTINGS,
        code=code("evaluate"),
    message:
        "Evaluating {wildcards.model} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "python -m segunc.evaluate "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--data {input.data} --samples {input.samples} --dataset {wildcards.dataset} --model {wildcards.model} "
        "--seed {wildcards.seed} --images {output.images} --pixels {output.pixels} > {log} 2>&1"


rule baselines:
    input:
        "results/data/{dataset}.h5",
    output:
        images="results/scores/{dataset}/baselines/images.csv",
        pixels="results/scores/{dataset}/baselines/pixels.csv.gz",
        provenance="results/provenance/baselines/{dataset}.json",
    log:
        "results/logs/baselines/{dataset}.log",
    benchmark:
        "results/benchmarks/baselines/{dataset}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(60),
    params:
        spec=NO_SETTINGS,
        code=code("baselines"),
    message:
        "Scoring the baselines on {wildcards.dataset}"
    shell:
        "python -m segunc.baselines "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--data {input} --dataset {wildcards.dataset} --images {output.images} --pixels {output.pixels} > {log} 2>&1"


rule baseline_threshold:
    input:
        data="results/data/{dataset}.h5",
        samples=expand("results/samples/{{dataset}}/{model}/seed{{seed}}.h5", model=plain_unet[:1]),
    output:
        images="results/scores/{dataset}/baseline_threshold/seed{seed}/images.csv",
        pixels="results/scores/{dataset}/baseline_threshold/seed{seed}/pixels.csv.gz",
        provenance="results/provenance/baseline_threshold/{dataset}/seed{seed}.json",
    log:
        "results/logs/baseline_threshold/{dataset}/seed{seed}.log",
    benchmark:
        "results/benchmarks/baseline_threshold/{dataset}/seed{seed}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(60),
    params:
        spec=NO_SETTINGS,
        code=code("baselines"),
    message:
        "Scoring the random threshold on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "python -m segunc.baselines "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--data {input.data} --samples {input.samples} --dataset {wildcards.dataset} --seed {wildcards.seed} "
        "--images {output.images} --pixels {output.pixels} > {log} 2>&1"

# Active learning: rounds of picking, training and testing. Round r needs round r - 1, and no checkpoint is needed for that.


rule active_start:
    input:
        "results/data/{dataset}.h5",
    output:
        labelled="results/active/{dataset}/start/seed{seed}/labelled.csv",
        provenance="results/provenance/active_start/{dataset}/seed{seed}.json",
    log:
        "results/logs/active_start/{dataset}/seed{seed}.log",
    benchmark:
        "results/benchmarks/active_start/{dataset}/seed{seed}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(2000),
        runtime=doubled(10),
    params:
        spec=start_spec,
        code=code("pick"),
        needed=active_needed,
    message:
        "Drawing the start set of {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "python -m segunc.pick "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--data {input} --needed {params.needed} --output {output.labelled} > {log} 2>&1"


rule pick_without_network:
    input:
        data="results/data/{dataset}.h5",
        labelled=labelled_before,
    output:
        labelled="results/active/{dataset}/{strategy}/seed{seed}/round{round}/labelled.csv",
        provenance="results/provenance/pick/{dataset}/{strategy}/seed{seed}/round{round}.json",
    log:
        "results/logs/pick/{dataset}/{strategy}/seed{seed}/round{round}.log",
    benchmark:
        "results/benchmarks/pick/{dataset}/{strategy}/seed{seed}/round{round}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(2000),
        runtime=doubled(10),
    params:
        spec=pick_spec,
        code=code("pick", "strategies"),
        needed=active_needed,
    message:
        "Picking images of {wildcards.dataset} by {wildcards.strategy}, seed {wildcards.seed}, round {wildcards.round}"
    shell:
        "python -m segunc.pick "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--data {input.data} --labelled {input.labelled} --needed {params.needed} --output {output.labelled} "
        "> {log} 2>&1"


rule pick_with_network:
    input:
        data="results/data/{dataset}.h5",
        labelled=labelled_before,
        weights=weights_before,
    output:
        labelled="results/active/{dataset}/{model}/{strategy}/seed{seed}/round{round}/labelled.csv",
        provenance="results/provenance/pick/{dataset}/{model}/{strategy}/seed{seed}/round{round}.json",
    log:
        "results/logs/pick/{dataset}/{model}/{strategy}/seed{seed}/round{round}.log",
    benchmark:
        "results/benchmarks/pick/{dataset}/{model}/{strategy}/seed{seed}/round{round}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: experiment.threads
    resources:
        mem_mb=network_memory,
        runtime=doubled(120),
        gpu=settings.gpus(experiment),
    params:
        spec=pick_spec,
        code=code("pick_with_network", "strategies", "models"),
        needed=active_needed,
        device=device,
    message:
        "Picking images of {wildcards.dataset} by {wildcards.strategy} of {wildcards.model}, "
        "seed {wildcards.seed}, round {wildcards.round}"
    shell:
        "python -m segunc.pick_with_network "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--data {input.data} --labelled {input.labelled} --weights {input.weights} --needed {params.needed} "
        "--device {params.device} --threads {threads} --output {output.labelled} > {log} 2>&1"


rule active_train:
    input:
        data="results/data/{dataset}.h5",
        labelled=labelled_now,
    output:
        weights="results/active/{dataset}/{model}/{strategy}/seed{seed}/round{round}/weights.pt",
        provenance="results/provenance/active_train/{dataset}/{model}/{strategy}/seed{seed}/round{round}.json",
    log:
        "results/logs/active_train/{dataset}/{model}/{strategy}/seed{seed}/round{round}.log",
    benchmark:
        "results/benchmarks/active_train/{dataset}/{model}/{strategy}/seed{seed}/round{round}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: experiment.threads
    resources:
        mem_mb=network_memory,
        runtime=training_minutes,
        gpu=settings.gpus(experiment),
    params:
        spec=active_train_spec,
        code=code("active_train", "models"),
        device=device,
    message:
        "Training {wildcards.model} on {wildcards.dataset} labelled by {wildcards.strategy}, "
        "seed {wildcards.seed}, round {wildcards.round}"
    shell:
        "python -m segunc.active_train "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--data {input.data} --labelled {input.labelled} "
        "--name '{wildcards.dataset} {wildcards.model} {wildcards.strategy} seed {wildcards.seed} round {wildcards.round}' "
        "--device {params.device} --threads {threads} --weights {output.weights} "
        "--checkpoints results/checkpoints/active_train/{wildcards.dataset}/{wildcards.model}/{wildcards.strategy}/"
        "seed{wildcards.seed}/round{wildcards.round} > {log} 2>&1"


rule active_test:
    input:
        data="results/data/{dataset}.h5",
        labelled=labelled_now,
        weights="results/active/{dataset}/{model}/{strategy}/seed{seed}/round{round}/weights.pt",
    output:
        scores="results/active/{dataset}/{model}/{strategy}/seed{seed}/round{round}/scores.csv",
        provenance="results/provenance/active_test/{dataset}/{model}/{strategy}/seed{seed}/round{round}.json",
    log:
        "results/logs/active_test/{dataset}/{model}/{strategy}/seed{seed}/round{round}.log",
    benchmark:
        "results/benchmarks/active_test/{dataset}/{model}/{strategy}/seed{seed}/round{round}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: experiment.threads
    resources:
        mem_mb=network_memory,
        runtime=doubled(60),
        gpu=settings.gpus(experiment),
    params:
        spec=sample_spec,
        code=code("active_test", "models"),
        device=device,
    message:
        "Testing {wildcards.model} on {wildcards.dataset} labelled by {wildcards.strategy}, "
        "seed {wildcards.seed}, round {wildcards.round}"
    shell:
        "python -m segunc.active_test "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--data {input.data} --labelled {input.labelled} --weights {input.weights} --dataset {wildcards.dataset} "
        "--model {wildcards.model} --strategy {wildcards.strategy} --seed {wildcards.seed} --round {wildcards.round} "
        "--device {params.device} --threads {threads} --output {output.scores} > {log} 2>&1"


rule active_tables:
    input:
        active_scores,
    output:
        learning="results/tables/active_learning.csv",
        summary=report(
            "results/tables/active_summary.csv",
            caption="../report/active_summary.rst",
            category="Tables",
            labels={"table": "Active learning: strategies against random"},
        ),
        penalty="results/tables/pairwise_penalty.csv",
        missing="results/tables/active_missing.csv",
        provenance="results/provenance/active_tables.json",
    log:
        "results/logs/active_tables.log",
    benchmark:
        "results/benchmarks/active_tables.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(2000),
        runtime=doubled(30),
    params:
        spec=active_tables_spec,
        code=code("active_tables"),
    message:
        "Writing the tables of active learning"
    shell:
        "python -m segunc.active_tables "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "--scores results/active --output results/tables > {log} 2>&1"

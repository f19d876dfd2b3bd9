# Active learning: rounds of acquisition, training, sampling and evaluation. Round r needs round r - 1, so that the DAG is
# static and no Snakemake checkpoint is needed.


rule active_start:
    input:
        data=rules.prepare.output.store,
    output:
        labelled="<results>/active/<cell>/labelled.csv",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="active_start",
        cell="<dataset>/start/<seed>",
    localrule: True
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=doubled(2000),
        runtime=doubled(10),
    params:
        spec=spec("active_start", "seed"),
        code=code("stages.active_start"),
        input=input_options,
        needed=needed_images,
    message:
        "Choosing the first images of {wildcards}"
    shell:
        "python -m segunc.runtime.start {params.job}"
        " {params.input}"
        " --needed {params.needed}"
        " --labelled {output.labelled}"
        " > {log} 2>&1"


use rule active_start as active_acquire with:
    input:
        data=rules.prepare.output.store,
        before=labelled_before,
    pathvars:
        step="active_acquire",
        cell="<dataset>/{strategy}/<seed>/round{round}",
    params:
        spec=spec("active_acquire", "strategy", "seed", "round"),
        code=code("stages.active_acquire", "strategies"),
    message:
        "Choosing images for {wildcards}"


rule active_acquire_with_model:
    input:
        data=rules.prepare.output.store,
        before=labelled_before,
        weights=weights_before,
    output:
        labelled="<results>/active/<cell>/labelled.csv",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="active_acquire_with_model",
        cell="<round>",
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=network_memory,
        runtime=doubled(120),
        gpu=GPUS,
    params:
        spec=spec("active_acquire", "model", "strategy", "seed", "round"),
        code=code("stages.active_acquire_with_model", "strategies", "models"),
        needed=needed_images,
        device=on_device,
    message:
        "Choosing images for {wildcards}"
    shell:
        "python -m segunc.runtime.start {params.job}"
        " --data {input.data}"
        " --before {input.before}"
        " --weights {input.weights}"
        " --needed {params.needed}"
        " --device {params.device} --threads {threads}"
        " --labelled {output.labelled}"
        " > {log} 2>&1"


rule active_train:
    input:
        data=rules.prepare.output.store,
        labelled=labelled,
    output:
        weights="<results>/active/<cell>/weights.pt",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="active_train",
        cell="<round>",
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=network_memory,
        runtime=training_minutes,
        gpu=GPUS,
    params:
        spec=spec("active_train", "dataset", "model", "seed"),
        code=code("stages.active_train", "models"),
        name=job_name,
        device=on_device,
        checkpoints=checkpoints,
    message:
        "Training {wildcards}"
    shell:
        "python -m segunc.runtime.start {params.job}"
        " --data {input.data}"
        " --labelled {input.labelled}"
        " --name {params.name:q}"
        " --device {params.device} --threads {threads}"
        " --weights {output.weights}"
        " --checkpoints {params.checkpoints}"
        " > {log} 2>&1"


use rule sample as active_sample with:
    input:
        data=rules.prepare.output.store,
        weights=rules.active_train.output.weights,
    output:
        samples="<results>/active/<cell>/samples.h5",
        record="<record>",
    pathvars:
        step="active_sample",
        cell="<round>",
    params:
        code=code("stages.active_sample", "models"),


rule active_evaluate:
    input:
        data=rules.prepare.output.store,
        samples=rules.active_sample.output.samples,
    output:
        images="<results>/active/<cell>/images.csv",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="active_evaluate",
        cell="<round>",
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(60),
    params:
        spec=spec("active_evaluate", "round"),
        code=code("stages.active_evaluate"),
        input=input_options,
        cell=cell_options,
    message:
        "Scoring {wildcards}"
    shell:
        "python -m segunc.runtime.start {params.job}"
        " {params.cell}"
        " {params.input}"
        " --images {output.images}"
        " > {log} 2>&1"


rule active_tabulate:
    input:
        data=files_of([rules.prepare.output.store], [cell for _, cell in SCORED_ROUNDS]),
        labelled=listed([labelled_in(cell) for _, cell in SCORED_ROUNDS]),
        images=listed(present(SCORED_ROUNDS, "images")),
    output:
        learning="<run>/tables/active_learning.csv",
        seeds="<run>/tables/active_seeds.csv",
        summary=report(
            "<run>/tables/active_summary.csv",
            caption="../report/tables/active_summary.rst",
            category="Tables",
            labels={"table": "Active learning: strategies against random"},
        ),
        picks="<run>/tables/active_picks.csv",
        penalty="<run>/tables/pairwise_penalty.csv",
        missing="<run>/tables/active_missing.csv",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="active_tabulate",
        cell="<of_run>all",
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(60),
    params:
        spec=spec("active_tabulate"),
        code=code("stages.active_tabulate"),
        input=input_options,
    message:
        "Writing the tables of active learning"
    shell:
        "python -m segunc.runtime.start {params.job}"
        " {params.input}"
        " --tables {output.learning} {output.seeds} {output.summary} {output.picks} {output.penalty} {output.missing}"
        " > {log} 2>&1"

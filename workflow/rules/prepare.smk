# Raw files to one HDF5 per dataset.


rule prepare:
    input:
        unpack(raw_input),
    output:
        store="results/data/{dataset}.h5",
        provenance="results/provenance/prepare/{dataset}.json",
    log:
        "results/logs/prepare/{dataset}.log",
    benchmark:
        "results/benchmarks/prepare/{dataset}.tsv"
    conda:
        "../../envs/segunc.yaml"
    threads: 1
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(60),
    params:
        spec=data_spec,
        code=code("prepare", "data.formats"),
        raw=raw_arguments,
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "python -m segunc.prepare "
        "--spec {params.spec:q} --code {params.code:q} --provenance {output.provenance} "
        "{params.raw} --output {output.store} 2>&1 | tee {log}"

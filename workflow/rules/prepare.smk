# From raw files to one HDF5 store per dataset.


rule prepare:
    input:
        unpack(raw_input),
    output:
        store="<results>/data/<cell>.h5",
        record="<record>",
    log:
        "<log>",
    pathvars:
        step="prepare",
        cell="<dataset>",
    conda:
        "../../envs/segunc.yaml"
    resources:
        mem_mb=doubled(4000),
        runtime=doubled(60),
    params:
        spec=prepare_spec,
        code=code("stages.prepare", "data.formats"),
        raw=raw_options,
    message:
        "Preparing {wildcards}"
    shell:
        "python -m segunc.runtime.start {params.job} {params.raw} --store {output.store} 2>&1 | tee {log}"

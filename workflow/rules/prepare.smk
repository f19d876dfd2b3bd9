# From raw files to one HDF5 store per dataset.


raw_paths = cache(exit_on_user_error(lambda dataset: raw_data(experiment, dataset)))
# Once per run, as this looks at each file.
digests = cache(
    exit_on_user_error(lambda dataset: raw_digests(experiment, dataset, Path(".snakemake/segunc/digests.json")))
)


def raw_input(wildcards):
    # The spec contains a SHA-256 of the raw files, so changes are detected by content, not by time stamp.
    return {name: ancient(path) for name, path in raw_paths(Cell.of(wildcards).dataset).items()}


def raw_options(wildcards, input):
    return [f"--raw {quote(f'{name}={path}')}" for name, path in input.items()]


def prepare_spec(wildcards):
    cell = Cell.of(wildcards)
    return specs.prepare(experiment, cell, digests(cell.dataset))


rule prepare:
    input:
        unpack(raw_input),
    output:
        store="<results>/data/<cell>.h5",
        record="<record>",
    log:
        "<log>",
    benchmark:
        "<timing>"
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
        "python -m segunc.stages.prepare"
        " --spec {params.spec:q} --code {params.code:q} --record {output.record}"
        " {params.raw}"
        " --store {output.store}"
        " 2>&1 | tee {log}"

"""What `segunc.workflow.snakemake_internals` relies on in Snakemake, one test per function."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.workflow import TINY, where
from snakemake.common import get_function_params

from segunc.runtime import records
from segunc.runtime.code_digest import code_of
from segunc.workflow.snakemake_internals import Parsed, parse, pending_jobs

SMALL = """
from segunc.workflow import snakemake_internals

rule all:
    input: "last.txt", "other.txt"
rule first:
    output: x="first.txt", record="records/first.json"
    params: spec=lambda wildcards: '{{"a": {value}}}', code=lambda wildcards: "segunc.cells 0"
    shell: "{command}"
rule last:
    input: "first.txt"
    output: "last.txt"
    shell: "touch {{output}}"
rule other:
    output: "other.txt"
    shell: "touch {{output}}"

onerror:
    import json
    run = snakemake_internals.unfinished(workflow)
    facts = None
    if run is not None:
        ancestors = {{job.rule.name: getattr(run.failed_ancestor(job), "rule", None) for job in run.jobs}}
        facts = {{name: job and job.name for name, job in ancestors.items()}}
        facts = [facts, [job.rule.name for job in run.failed], run.snakefile]
    json.dump(facts, open("unfinished.json", "w"))

snakemake_internals.finish_rules(workflow)
"""


def small(folder: Path, *words: str, value: int = 1, command: str = "touch {output.x}") -> str:
    """Runs a workflow of three jobs; returns what Snakemake prints."""
    (folder / "Snakefile").write_text(SMALL.format(value=value, command=command))
    program = [sys.executable, "-m", "snakemake", "--cores", "1", *words]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    folder = tmp_path_factory.mktemp("parsed")
    words = ["tables", "--cores", "8", "--set-threads", "train=4", "--config", "device=cpu"]
    return parse([*words, *where(folder, TINY)])


def test_parse_reads_the_command_line(parsed: Parsed) -> None:
    assert (parsed.targets, parsed.device) == (["tables"], "cpu")
    assert parsed.config.grid.seeds == [0] and parsed.config.backbone.filters == [4, 8]
    assert parsed.folder.is_dir() and not list(parsed.folder.glob("results"))


def test_rules_are_walked(parsed: Parsed) -> None:
    rules = parsed.rules
    assert rules.default_target == "all" and set(rules.targets) == {
        *("all", "data", "models", "samples", "tables", "figures", "active"),
    }
    cell = {"dataset": "phantom_lung", "model": "unet", "seed": "0"}
    samples = "results/samples/phantom_lung/unet/seed0.h5"
    assert rules.producer(samples) == ("sample", cell)
    assert rules.producer(samples.replace("unet", "baselines")) is None, "wildcard constraints hold"
    assert rules.outputs("sample", cell) == [samples, "results/records/sample/phantom_lung/unet/seed0.json"]
    weights = "results/models/phantom_lung/unet/seed0/weights.pt"
    assert rules.inputs("sample", cell) == ["results/data/phantom_lung.h5", weights]
    # Input functions, and one that adds no input, are called as Snakemake calls them.
    assert samples in rules.inputs("baseline_threshold", {"dataset": "phantom_lung", "seed": "0"})
    assert json.loads(rules.param("sample", "spec", cell)) == {"draws": 16, "seed": 0}
    assert rules.pattern("sample", "samples") == "results/samples/{dataset}/{model}/seed{seed}.h5"
    assert (rules.threads("train"), rules.threads("sample")) == (4, 1)
    assert rules.benchmarks == "results/benchmarks"
    assert rules.benchmarked("results/benchmarks/sample/phantom_lung/unet/seed0.tsv") == ("sample", cell)
    assert rules.benchmarked("results/benchmarks/other/phantom_lung/unet/seed0.tsv") is None


def test_pending_jobs_are_those_of_a_dry_run(tmp_path: Path) -> None:
    jobs = pending_jobs(["samples", *where(tmp_path, {**TINY, "grid": {"datasets": ["phantom_skin"], "seeds": [3]}})])
    assert sorted({job.rule for job in jobs}) == ["prepare", "sample", "train"] and len(jobs) == 9
    (job,) = (job for job in jobs if job.rule == "sample" and job.wildcards["model"] == "unet")
    assert job.wildcards == {"dataset": "phantom_skin", "model": "unet", "seed": "3"}
    assert job.outputs[0] == "results/samples/phantom_skin/unet/seed3.h5" and job.folder == tmp_path
    assert job.record == tmp_path / "results/records/sample/phantom_skin/unet/seed3.json"
    assert job.reason.startswith("Missing output files") and json.loads(job.spec) == {"draws": 16, "seed": 3}
    assert job.code.startswith("segunc.stages.sample segunc.models.unet ")


def test_unfinished_names_the_culprit_of_each_job(tmp_path: Path) -> None:
    small(tmp_path, "--keep-going", command="exit 1")
    jobs, failed, snakefile = json.loads((tmp_path / "unfinished.json").read_text())
    assert jobs == {"all": "first", "last": "first", "first": "first"} and failed == ["first"]
    assert Path(snakefile) == tmp_path / "Snakefile"
    small(tmp_path, command="exit 1")
    assert json.loads((tmp_path / "unfinished.json").read_text()) is None, "only with --keep-going"


def test_outdated_results_are_forced_where_snakemake_does_not_know(tmp_path: Path) -> None:
    small(tmp_path)
    record = tmp_path / "records/first.json"
    record.parent.mkdir(exist_ok=True)
    # Snakemake's metadata is gone, and the record has today's settings, or others.
    for directory in (tmp_path / ".snakemake/metadata", tmp_path / ".snakemake/incomplete"):
        subprocess.run(["rm", "-rf", directory], check=True)
    records.write(record, {"a": 1}, code_of("segunc.cells 0"))
    (tmp_path / "last.txt").touch()
    assert "Nothing to be done" in small(tmp_path, "--dry-run")
    said = small(tmp_path, "--dry-run", value=2)
    assert "Nothing to be done" not in said and "rule first" in said and "rule last" in said
    assert "rule other" not in said


def test_signatures_are_cached(parsed: Parsed) -> None:
    rule = parsed.rules._rules["train"]
    functions = [function for function in [*rule.params, *rule.resources.values()] if callable(function)]
    assert functions and all(function.__signature__ == inspect.signature(function) for function in functions)
    # Snakemake asks for the parameters in this way, and gets those that are there.
    assert list(get_function_params(functions[0])) == list(functions[0].__signature__.parameters)

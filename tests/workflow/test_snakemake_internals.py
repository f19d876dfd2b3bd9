"""What `segunc.workflow.snakemake_internals` relies on in Snakemake, and which jobs it lets run."""

import inspect
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from helpers.workflow import ROOT, TINY, in_fork, where
from snakemake.common import get_function_params

from segunc.runtime import records
from segunc.workflow import snakemake_internals
from segunc.workflow.snakemake_internals import Parsed, parse, planned_jobs

SNAKEFILE = """
import json, os, sys
from pathlib import Path

sys.path.insert(0, os.path.join(workflow.basedir, "src"))
os.environ["PYTHONPATH"] = os.path.join(workflow.basedir, "src")

from segunc.runtime.code_digest import code_param
from segunc.workflow import snakemake_internals
from segunc.workflow.rule_functions import exit_on_user_error

def spec(name):
    return lambda wildcards: json.dumps({"text": config.get(name, name)})

@exit_on_user_error
def code(wildcards):
    return code_param("segunc.stages.toy")

START = f"{sys.executable} -m segunc.runtime.start {{params.job}} --reads {{input}} --writes"

rule all:
    input: "last.txt", "list.txt"
rule first:
    output: x="first.txt", y="more.txt", record="records/first.json"
    params: spec=spec("first"), code=code
    shell: START + " {output.x} {output.y}"
rule middle:
    input: "first.txt"
    output: x="middle.txt", record="records/middle.json"
    params: spec=spec("middle"), code=code
    shell: START + " {output.x}"
rule side:
    input: "first.txt"
    output: x="side.txt", record="records/side.json"
    params: spec=spec("side"), code=code
    shell: START + " {output.x}"
rule last:
    message: "Writing the last file"
    input: "middle.txt", "side.txt"
    output: x="last.txt", record="records/last.json"
    params: spec=spec("last"), code=code
    shell: START + " {output.x}"
rule listing:
    input: "middle.txt"
    output: "list.txt"
    shell: "cp {input} {output}"

onerror:
    run = snakemake_internals.unfinished(workflow)
    facts = None
    if run is not None:
        ancestors = {job.rule.name: [other.rule.name for other in run.failed_ancestors(job)] for job in run.jobs}
        facts = [ancestors, run.snakefile]
    json.dump(facts, open("unfinished.json", "w"))

snakemake_internals.finish_rules(workflow, Path("kept"))
"""
PROGRAM = '''"""Writes what it reads, and a text of its settings up to `#`."""

from pathlib import Path

from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically
from segunc.runtime.stage import Job, stage


@stage
def main(job: Job, *, reads: list[Path], writes: list[Path]) -> None:
    if job.spec["text"] == "fail":
        raise UserError("it fails.")
    text = "".join(path.read_text() for path in reads) + job.spec["text"].partition("#")[0] + " "
    if Path("chance.txt").exists():  # As on a GPU, where a training is not deterministic.
        text += Path("chance.txt").read_text()
    for file in writes:
        with write_atomically(file) as path:
            path.write_text(text)


if __name__ == "__main__":
    main()
'''
DECIDE = """
import json, sys
from segunc.workflow import snakemake_internals
for arguments in json.loads(sys.argv[1]):
    dag = snakemake_internals._run_quietly(["--dry-run", "--cores", "1", *arguments]).dag
    print(json.dumps(sorted(job.rule.name for job in dag._needrun if job.output)))
"""
"""Prints the rules of the jobs that would run with each list of arguments; a start of Snakemake costs more."""
EVERYTHING = ["first", "last", "listing", "middle", "side"]


class Toy:
    """A workflow of five jobs (`first` before `middle` and `side`, both before `last`) with a copy of the sources."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create(self) -> None:
        """Writes the workflow and runs it."""
        shutil.copytree(ROOT / "src/segunc", self.folder / "src/segunc", ignore=shutil.ignore_patterns("__pycache__"))
        (self.folder / "src/segunc/stages/toy.py").write_text(PROGRAM)
        (self.folder / "src/decide.py").write_text(DECIDE)
        (self.folder / "Snakefile").write_text(SNAKEFILE)
        done = self.run()
        assert done.returncode == 0, done.stderr
        assert self.read("last.txt") == "first middle first side last "

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return in_fork("snakemake", ["--cores", "1", *words], self.folder)

    def decide(self, *arguments: Sequence[str]) -> list[list[str]]:
        """The rules of the jobs that would run, for each list of arguments."""
        done = in_fork("decide", [json.dumps(arguments)], self.folder)
        assert done.returncode == 0, done.stderr + done.stdout
        return [json.loads(line) for line in done.stdout.splitlines()]

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def record(self, name: str) -> records.Record:
        found = records.read(self.folder / f"records/{name}.json")
        assert found is not None
        return found

    def remove(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink()

    @property
    def files(self) -> list[Path]:
        return [*self.folder.glob("*.txt"), *self.folder.glob("records/*")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    toy = Toy(tmp_path_factory.mktemp("toy"))
    toy.create()
    return toy


@pytest.fixture
def toy(finished: Toy, tmp_path: Path) -> Toy:
    """A copy of the finished workflow, with other paths; the sources are the same files."""
    copy = shutil.copytree(finished.folder, tmp_path / "toy", ignore=shutil.ignore_patterns("src"))
    (copy / "src").symlink_to(finished.folder / "src")
    return Toy(copy)


def changed(**texts: str) -> list[str]:
    """The arguments of another setting."""
    return ["--config", *(f"{name}={text}" for name, text in texts.items())]


def flip(path: Path) -> None:
    """Changes a byte and keeps the modification time."""
    before = path.stat()
    path.write_bytes(path.read_bytes().swapcase())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_settings_decide_and_time_stamps_do_not(toy: Toy) -> None:
    order = toy.files
    random.Random(0).shuffle(order)
    for time, path in enumerate(order):
        os.utime(path, (time, time))
    shutil.rmtree(toy.folder / ".snakemake")
    assert toy.decide(
        [], changed(first="other"), changed(middle="other"), changed(side="other"), changed(last="other")
    ) == [[], EVERYTHING, ["last", "listing", "middle"], ["last", "side"], ["last"]]


@pytest.mark.parametrize(
    "options",
    [
        *(["--rerun-triggers", trigger] for trigger in ("mtime", "params", "input", "software-env", "code")),
        *(["--ignore-incomplete"], ["--rerun-incomplete"], ["--keep-incomplete"], ["--drop-metadata"]),
    ],
    ids=lambda options: options[-1],
)
def test_options_about_time_stamps_and_metadata_change_nothing(toy: Toy, options: list[str]) -> None:
    os.utime(toy.folder / "first.txt")
    (toy.folder / ".snakemake/incomplete").mkdir(exist_ok=True)
    for name in ("bWlkZGxlLnR4dA==", "bGFzdC50eHQ="):  # middle.txt and last.txt, as a killed Snakemake leaves them
        (toy.folder / ".snakemake/incomplete" / name).touch()
    assert toy.decide(options, [*options, *changed(side="other")]) == [[], ["last", "side"]]


@pytest.mark.parametrize(
    ("removed", "arguments", "expected"),
    [
        # What nothing needs is not made again.
        (["middle.txt"], [], []),
        (["first.txt", "more.txt", "middle.txt", "side.txt"], [], []),
        (["first.txt", "more.txt", "records/first.json"], [], []),
        # It is if a job that runs needs it; `side` is up to date, although `first` is made again.
        (["middle.txt"], changed(last="other"), ["last", "listing", "middle"]),
        (["first.txt"], changed(middle="other"), ["first", "last", "listing", "middle"]),
        (["first.txt"], changed(last="other"), ["last"]),
        (["first.txt", "middle.txt"], changed(last="other"), ["first", "last", "listing", "middle"]),
        # Targets: files, rules, all.
        (["last.txt"], [], ["last"]),
        (["last.txt", "middle.txt"], [], ["last", "listing", "middle"]),
        (["list.txt"], [], ["listing"]),
        (["middle.txt"], ["middle.txt"], ["middle"]),
        (["more.txt"], [], []),
        (["more.txt"], ["more.txt"], ["first"]),
        (["more.txt"], ["first.txt"], []),
        (["more.txt"], ["first"], ["first"]),
        # Without its record, nobody knows what a result was made from.
        (["records/first.json"], [], ["first"]),
        (["records/first.json", "first.txt"], [], ["first"]),
        (["records/last.json"], [], ["last"]),
        (["records/last.json", "last.txt"], [], ["last"]),
    ],
)
def test_what_is_missing(toy: Toy, removed: list[str], arguments: list[str], expected: list[str]) -> None:
    toy.remove(*removed)
    assert toy.decide(arguments) == [expected]


@pytest.mark.parametrize(
    ("file", "damage", "expected"),
    [
        ("middle.txt", flip, ["listing", "middle"]),
        ("more.txt", flip, ["first"]),
        ("last.txt", lambda path: path.write_text(""), ["last"]),
        ("records/side.json", lambda path: path.write_text("{}"), ["side"]),
        (
            "records/side.json",
            lambda path: path.write_text(path.read_text().replace('"bytes": ', '"bytes": 1')),
            ["side"],
        ),
    ],
)
def test_damage_is_noticed_and_what_was_made_before_stays(
    toy: Toy, file: str, damage: Callable[[Path], object], expected: list[str]
) -> None:
    """Also if the digests of all files are known."""
    assert toy.decide([]) == [[]]
    damage(toy.folder / file)
    assert toy.decide([], []) == [expected, expected]


def test_what_is_forced_runs_with_everything_after_it(toy: Toy) -> None:
    assert toy.decide(
        ["--forcerun", "middle"],
        ["--forcerun", "middle.txt"],
        ["--forcerun", "first"],
        ["--forcerun", "list.txt"],
        ["--forceall"],
        ["--force", "side.txt"],
        ["last.txt", "--forcerun", "side"],
        [*changed(last="other"), "--forcerun", "side"],
    ) == [
        *(["last", "listing", "middle"], ["last", "listing", "middle"], EVERYTHING, ["listing"], EVERYTHING),
        *(["side"], ["last", "side"], ["last", "side"]),
    ]
    # Also after jobs that would run anyway, for a reason that concerns nothing after them.
    flip(toy.folder / "middle.txt")
    flip(toy.folder / "side.txt")
    assert toy.decide([], ["--forcerun", "first"]) == [["listing", "middle", "side"], EVERYTHING]


def test_parts_of_the_workflow(toy: Toy) -> None:
    other = changed(first="other")
    assert toy.decide([*other, "--until", "middle"], [*other, "--omit-from", "middle"], ["middle.txt", *other]) == [
        ["first", "middle"],
        ["first", "side"],
        ["first", "middle"],
    ]
    # What was made by rules that are left out is what its record says.
    last = ["last.txt", "--allowed-rules", "last"]
    assert toy.decide(last, [*last, *changed(side="other")], [*last, *changed(last="other")]) == [[], [], ["last"]]


def test_a_run_makes_what_was_announced_and_then_nothing(toy: Toy) -> None:
    done = toy.run("--config", "middle=new")
    assert done.returncode == 0 and toy.read("last.txt") == "first new first side last ", done.stderr
    assert toy.read("list.txt") == "first new "
    assert toy.decide(changed(middle="new"), []) == [[], ["last", "listing", "middle"]]


def test_results_come_back_with_their_settings_and_forced_ones_are_computed(toy: Toy) -> None:
    computed = toy.record("last")
    assert toy.run("--config", "middle=new").returncode == 0
    assert toy.run().returncode == 0
    assert toy.read("last.txt") == "first middle first side last "
    restored = toy.record("last")
    assert restored.restored and restored.identity == computed.identity and restored.finished == computed.finished
    assert toy.record("middle").restored and not toy.record("side").restored
    assert toy.run("--forcerun", "middle").returncode == 0
    assert not toy.record("middle").restored
    # What follows runs as well, and may be restored: its inputs have the same bytes.
    assert toy.read("last.txt") == "first middle first side last " and toy.decide([]) == [[]]


def test_a_job_on_a_cluster_has_the_identity_that_was_planned(toy: Toy) -> None:
    """There, Snakemake runs once more per job, and knows its rule alone."""
    remote = ["--mode", "remote", "--nolock", "--force", "--target-jobs", "last:", "--allowed-rules", "last"]
    done = toy.run(*remote, *changed(last="other"))
    assert done.returncode == 0 and toy.read("last.txt") == "first middle first side other ", done.stderr
    assert toy.decide(changed(last="other"), []) == [[], ["last"]]


def test_the_same_bytes_from_other_settings(toy: Toy) -> None:
    """Everything runs, and what reads these bytes is restored; all say what they are made from now."""
    assert toy.run("--config", "first=first#2").returncode == 0
    assert not toy.record("first").restored and toy.record("middle").restored and toy.record("last").restored
    assert toy.decide(changed(first="first#2"), []) == [[], EVERYTHING]


@pytest.mark.parametrize("lost", ["kept", "kept/objects", "kept/entries"])
def test_results_are_set_aside_before_others_replace_them(toy: Toy, lost: str) -> None:
    """Also results that were not kept when they were made; and if what replaces them fails."""
    shutil.rmtree(toy.folder / lost)
    done = toy.run("--config", "first=fail")
    assert done.returncode != 0 and not (toy.folder / "first.txt").exists()
    toy.remove("middle.txt", "last.txt")
    assert toy.run("--forcerun", "listing").returncode == 0
    assert toy.read("last.txt") == "first middle first side last "
    assert toy.record("first").restored and toy.record("last").restored


def test_sources_that_do_not_fit_end_it_before_anything_is_removed(toy: Toy) -> None:
    source = toy.folder / "src"
    shared = source.readlink()
    source.unlink()
    program = Path(shutil.copytree(shared, source)) / "segunc/stages/toy.py"
    for old, new, said in (
        (
            "reads: list[Path], writes: list[Path]) -> None:",
            "writes: list[Path]) -> None:\n    reads = []",
            "toy.py, line 11 defines main() without the argument reads of the rule ",
        ),
        ("runtime.files", "runtime.file", "toy.py, line 6 imports segunc.runtime.file, which does not exist; finish"),
        ("def main(", "def main((", "toy.py, line 11 is not valid Python"),
    ):
        program.write_text(PROGRAM.replace(old, new))
        done = toy.run()
        assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert all((toy.folder / name).exists() for name in ("first.txt", "middle.txt", "last.txt"))
    program.unlink()
    done = toy.run()
    assert "segunc: a rule runs segunc.stages.toy, which does not exist; finish or undo the edit." in done.stderr
    program.write_text(PROGRAM)
    assert toy.decide([]) == [[]]


def test_what_is_made_again_with_other_bytes_reaches_everything_after_it(toy: Toy) -> None:
    """`first` is forced, its bytes differ, and the run is interrupted after it."""
    (toy.folder / "chance.txt").write_text("chance ")
    assert toy.run("--forcerun", "first", "--until", "first").returncode == 0
    assert toy.read("first.txt") == "first chance "
    assert toy.decide([]) == [["last", "listing", "middle", "side"]]
    said = in_fork("segunc.commands.main", ["why"], toy.folder).stdout
    assert said.startswith("first.txt was made again, with other content:\n    middle\n    side\n")
    assert said.endswith("downstream of the above:\n    last\n")
    done = toy.run()
    assert done.returncode == 0 and "first.txt was made again, with other content" in done.stdout + done.stderr
    assert toy.read("middle.txt") == "first chance middle chance "
    assert toy.read("last.txt") == f"{toy.read('middle.txt')}{toy.read('side.txt')}last chance "
    assert toy.decide([]) == [[]]


def test_what_is_made_again_with_other_bytes_and_read_by_a_damaged_result(toy: Toy) -> None:
    (toy.folder / "chance.txt").write_text("chance ")
    assert toy.run("--forcerun", "first", "--until", "first").returncode == 0
    flip(toy.folder / "middle.txt")
    toy.remove("side.txt")
    assert toy.decide([]) == [["last", "listing", "middle", "side"]]


def test_other_options_of_a_rule_are_named_and_cannot_be_accepted(toy: Toy) -> None:
    snakefile = toy.folder / "Snakefile"
    rule = 'record="records/last.json"\n    params: spec=spec("last"), code=code\n    shell: START'
    assert rule in snakefile.read_text()
    twice = f'{rule}.replace("{{input}}", "{{input}} {{input}}")'
    snakefile.write_text(snakefile.read_text().replace(rule, twice))
    said = in_fork("segunc.commands.main", ["why"], toy.folder).stdout
    assert said == "the options that its rule passes changed:\n    last\n"
    done = in_fork("segunc.commands.main", ["accept"], toy.folder)
    assert done.returncode == 1 and "Nothing to accept" in done.stdout
    assert "not accepted, because more than code differs (see segunc why):\n    last\n" in done.stdout
    assert toy.decide([]) == [["last"]]


def test_unfinished_names_the_culprit_of_each_job(toy: Toy) -> None:
    toy.run("--keep-going", "--config", "middle=fail")
    jobs, snakefile = json.loads(toy.read("unfinished.json"))
    assert jobs == {rule: ["middle"] for rule in ("all", "last", "listing", "middle")}
    assert Path(snakefile) == toy.folder / "Snakefile"
    toy.run("--config", "middle=fail")
    assert json.loads(toy.read("unfinished.json")) is None, "only with --keep-going"


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
        *("all", "data", "models", "samples", "tables", "figures", "active", "claims", "report"),
    }
    cell = {"dataset": "phantom_lung", "model": "unet", "seed": "0"}
    samples = "results/samples/phantom_lung/unet/seed0.h5"
    assert rules.producer(samples) == ("sample", cell)
    assert rules.producer(samples.replace("unet", "baselines")) is None, "wildcard constraints hold"
    assert rules.outputs("sample", cell) == [samples, "results/records/sample/phantom_lung/unet/seed0.json"]
    weights = "results/models/phantom_lung/unet/seed0/weights.pt"
    assert rules.inputs("sample", cell) == ["results/data/phantom_lung.h5", weights]
    # Input functions, and one that adds no input, are called as Snakemake calls them.
    assert samples in rules.inputs("plot_sampled_masks", {"dataset": "phantom_lung"})
    assert json.loads(rules.param("sample", "spec", cell)) == {"draws": 64, "seed": 0}
    assert rules.pattern("sample", "samples") == "results/samples/{dataset}/{model}/seed{seed}.h5"
    assert (rules.threads("train"), rules.threads("sample")) == (4, 1)
    assert rules.records == "results/records"
    assert rules.producer("results/records/sample/phantom_lung/unet/seed0.json") == ("sample", cell)
    assert rules.producer("results/records/other/phantom_lung/unet/seed0.json") is None


def test_outputs_have_labels_and_inputs_their_records(parsed: Parsed) -> None:
    rules = parsed.rules
    assert rules.labels("train") == ["weights.pt", "history.csv", "record"]
    assert rules.labels("tabulate")[:3] == ["summary.csv", "uncertainty_by_outcome.csv", "uncertainty_by_agreement.csv"]
    for rule in rules.names:
        assert len(set(rules.labels(rule))) == len(rules.labels(rule)), "a label names one file"
    source = rules.source("results/models/phantom_lung/unet/seed0/weights.pt")
    assert source is not None and source.label == "weights.pt"
    assert source.record == "results/records/train/phantom_lung/unet/seed0.json"
    assert rules.source("raw/LIDC-IDRI-slices.zip") is None
    assert rules.param("prepare", "cell", {"dataset": "phantom_lung"}) == ""


def test_planned_jobs_are_those_of_a_dry_run(tmp_path: Path) -> None:
    overlay = {**TINY, "grid": {"datasets": ["phantom_skin"], "seeds": [3]}}
    jobs, folder = planned_jobs(["samples", *where(tmp_path, overlay)])
    assert sorted({job.rule for job in jobs}) == ["prepare", "sample", "train"] and len(jobs) == 11
    assert folder == tmp_path and all(job.runs and job.state is None and not job.forced for job in jobs)
    (job,) = (job for job in jobs if job.rule == "sample" and job.wildcards["model"] == "unet")
    assert job.wildcards == {"dataset": "phantom_skin", "model": "unet", "seed": "3"}
    facts = job.facts
    assert facts.outputs == {"seed{seed}.h5": "results/samples/phantom_skin/unet/seed3.h5"}
    assert facts.record == "results/records/sample/phantom_skin/unet/seed3.json"
    assert json.loads(facts.spec) == {"draws": 64, "seed": 3}
    assert facts.code.startswith("segunc.stages.sample segunc.models.unet ")
    (train,) = (job for job in jobs if job.rule == "train" and job.wildcards["model"] == "unet")
    assert facts.inputs[1] == ("results/models/phantom_skin/unet/seed3/weights.pt", "weights.pt", train.identity)
    assert job.identity == facts.identity
    assert [job.forced for job in planned_jobs(["samples", "--forceall", *where(tmp_path, overlay)])[0]] == [True] * 11


def test_parameters_of_functions_are_known(parsed: Parsed) -> None:
    rule = parsed.rules._rules["train"]
    of_resources = [resource._evaluator for resource in rule.resources.values() if resource.is_evaluable()]
    functions = [function for function in [*rule.params, *of_resources] if callable(function)]
    assert {rule.resources["mem_mb"]._evaluator, rule.params.spec} <= set(functions)
    for function in [*functions, rule.resources["mem_mb"].evaluate]:
        known = get_function_params(function)
        assert known == inspect.signature(function).parameters, "what Snakemake would look up"
        assert known is get_function_params(function), "and does not look up"


def test_a_dry_run_evaluates_no_params(tmp_path: Path) -> None:
    overlay = {**TINY, "grid": {"datasets": ["phantom_skin"], "seeds": [3]}}
    workflow = snakemake_internals._run_quietly(["--dry-run", "--quiet=rules", "samples", *where(tmp_path, overlay)])
    jobs = [job for job in workflow.dag.jobs if job.output]
    evaluated = [job.rule.name for job in jobs if job._params is not None]
    assert len(jobs) == 11 and sorted(evaluated) == ["prepare", "sample", "train"], "a command of each rule is checked"
    environments = {Path(job.conda_env_spec.file.get_path_or_uri(secret_free=True)).resolve() for job in jobs}
    assert environments == {(ROOT / "envs/segunc.yaml").resolve()}


@pytest.mark.parametrize(
    ("options", "message", "command"),
    [([], True, False), (["--printshellcmds"], True, True), (["--quiet", "rules"], False, False)],
)
def test_a_dry_run_prints_what_snakemake_prints(toy: Toy, options: list[str], message: bool, command: bool) -> None:
    said = toy.run("--dry-run", *options, *changed(last="other")).stdout
    lines = said.splitlines()
    reason = 'Reason: setting text changed from "last" to "other"'
    found = [line for line in lines if line.endswith(": Writing the last file")]
    assert len(found) == (lines.count(reason)) == message, said
    assert ("-m segunc.runtime.start segunc.stages.toy" in said) == command
    assert lines[-1].startswith("This was a dry-run") and "last" in said

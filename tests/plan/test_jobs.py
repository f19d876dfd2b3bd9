"""The walk over the rules finds Snakemake's jobs, edges and outputs; and knows which jobs are done."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from helpers.plans import ACTIVE, make, read
from helpers.workflow import ROOT, TINY, merged, where

from segunc.cells import Cell
from segunc.plan.jobs import done
from segunc.plan.report import report
from segunc.runtime.errors import UserError
from segunc.workflow.snakemake_internals import planned_jobs

ONE_SKIN = {**TINY, "grid": {"datasets": ["phantom_skin"], "seeds": [0, 1]}, "active": ACTIVE}
EVERY_STRATEGY = yaml.safe_load((ROOT / "config.yaml").read_text())["strategies"]
HOLES = [
    {"step": step, "cell": cell, "why": "it failed"}
    for step, cell in (
        ("sample", {"dataset": "phantom_lung", "model": "unet", "seed": "0"}),
        ("evaluate", {"dataset": "phantom_lung", "model": "unet", "seed": "0"}),
        (
            "active_evaluate",
            {"dataset": "phantom_lung", "model": "unet", "strategy": "random", "seed": "3", "round": "1"},
        ),
    )
]
GRIDS = {
    "default": ({}, []),
    "tiny": (TINY, []),
    "no plain U-Net": (merged(TINY, grid={"models": ["prob_unet"], "seeds": [1, 2]}), []),
    "active": ({**TINY, "active": ACTIVE}, []),
    "every strategy": ({**TINY, "active": {**ACTIVE, "strategies": list(EVERY_STRATEGY), "seeds": [0]}}, []),
    "no rounds": ({**TINY, "active": {**ACTIVE, "rounds": 0}}, []),
    "other dataset": ({**TINY, "grid": {"datasets": ["phantom_skin"], "seeds": [0]}, "active": ACTIVE}, []),
    "results missing": ({**TINY, "active": ACTIVE, "missing": HOLES}, []),
    **{
        target: (ONE_SKIN, [target])
        for target in ("data", "models", "samples", "tables", "figures", "active", "report")
    },
    "a file": (TINY, ["results/samples/phantom_lung/unet/seed0.h5"]),
}
COMPARE = """
import json, sys
from segunc.cells import Cell
from segunc.plan.jobs import jobs_of
from segunc.workflow import snakemake_internals as internals

def snakemakes(arguments):
    dag = internals._run_quietly(["--dry-run", *arguments]).dag
    jobs = {job: [job.rule.name, str(Cell.of(job.wildcards))] for job in dag.jobs if job.output}
    return [
        [*name, sorted(jobs[need] for need in dag.dependencies[job]), sorted(map(str, job.output))]
        for job, name in jobs.items()
    ]

def walked(arguments):
    parsed = internals.parse(arguments)
    jobs = jobs_of(parsed.rules, parsed.targets)
    names = [[job.rule, str(job.cell)] for job in jobs]
    return [
        [*name, sorted(names[i] for i in job.needs), sorted([*job.outputs, job.record])]
        for name, job in zip(names, jobs, strict=True)
    ]

result = {}
for name, arguments in json.load(sys.stdin).items():
    result[name] = sorted(snakemakes(arguments)), sorted(walked(arguments))
json.dump(result, sys.stdout)
"""


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list, list]]:
    """The jobs of each grid by Snakemake and by the walk, in one process, as each start costs more than a grid."""
    folders = tmp_path_factory.mktemp("grids")
    grids = {
        name: [*targets, *where(folders / name.replace(" ", "_"), overlay)]
        for name, (overlay, targets) in GRIDS.items()
    }
    program = [sys.executable, "-c", COMPARE]
    run = subprocess.run(program, input=json.dumps(grids), capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("grid", GRIDS)
def test_jobs_edges_and_outputs_are_snakemakes(compared: dict[str, tuple[list, list]], grid: str) -> None:
    snakemakes, walked = compared[grid]
    assert walked
    assert walked == snakemakes


def test_the_walk_is_in_topological_order(tmp_path: Path) -> None:
    _, jobs = read(tmp_path, {**TINY, "active": ACTIVE})
    assert all(need < position for position, job in enumerate(jobs) for need in job.needs)


def test_a_target_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"target results/samples/.*seed7.txt is not a file of the configured grid and not one of active, all",
    ):
        read(tmp_path, TINY, "results/samples/phantom_lung/unet/seed7.txt")


@pytest.mark.parametrize(
    "target",
    [
        "results/active/phantom_lung/unet/start/seed3/round2/weights.pt",
        "results/active/phantom_lung/unet/entropy/seed3/round0/labelled.csv",
    ],
)
def test_a_round_that_no_grid_has(tmp_path: Path, target: str) -> None:
    with pytest.raises(SystemExit, match=r"segunc: strategy .* has no round"):
        read(tmp_path, {**TINY, "active": ACTIVE}, target)


def test_a_seed_is_spelled_in_one_way(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="seed07"):
        read(tmp_path, TINY, "results/samples/phantom_lung/unet/seed07.h5")


def test_the_papers_grid_before_its_raw_data_is_there(tmp_path: Path) -> None:
    overlay = yaml.safe_load((ROOT / "workflow/presets/paper.yaml").read_text())
    overlay["raw_folders"] = [str(tmp_path / "nowhere")]
    jobs = Counter(job.rule for job in read(tmp_path, overlay)[1])
    # 2 datasets x 5 models x 5 seeds; in active learning 4 models, with round 0 and 2 strategies of 10 rounds each.
    assert jobs["train"] == jobs["sample"] == 50
    assert jobs["active_train"] == jobs["active_sample"] == jobs["active_evaluate"] == 40 * 21
    assert (jobs["active_acquire_with_model"], jobs["active_acquire"]) == (40 * 10, 2 * 5 * 10)
    assert sum(jobs.values()) == 3220


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished grid."""
    folder = tmp_path_factory.mktemp("made")
    make(folder, SMALL)
    return folder


SMALL = merged(
    {**TINY, "active": {**ACTIVE, "models": ["unet"], "strategies": ["random", "entropy"]}},
    grid={"datasets": ["phantom_lung"], "models": ["unet", "prob_unet"]},
)
UNET = "results/models/phantom_lung/unet/seed0"
ROUND = "results/active/phantom_lung/unet/entropy/seed3/round1"


def left(folder: Path, overlay: dict, *targets: str) -> Counter[str]:
    """Jobs per rule that are not done, by the plan and by Snakemake, which agree."""
    parsed, jobs = read(folder, overlay, *targets)
    finished = done(parsed.rules, parsed.config, jobs, folder)
    by_plan = [(job.rule, job.cell) for job, is_done in zip(jobs, finished, strict=True) if not is_done]
    planned, _ = planned_jobs([*targets, *where(folder, overlay)])
    assert sorted(by_plan) == sorted((job.rule, Cell.of(job.wildcards)) for job in planned if job.runs)
    return Counter(rule for rule, _ in by_plan)


def test_a_finished_grid_is_done(made: Path) -> None:
    assert not left(made, SMALL)
    said = report(where(made, SMALL))
    count = len(read(made, SMALL)[1])
    assert "Nothing is left to do" in said and f"total {count} {count} - -" in " ".join(said.split())


def test_what_a_setting_leaves(made: Path) -> None:
    """A setting of one model, and what reads its results."""
    of_model = left(made, {**SMALL, "models": {"unet": {"training": {"learning_rate": 0.1}}}})
    assert (of_model["train"], of_model["evaluate"], of_model["prepare"]) == (1, 1, 0)
    # 2 seeds with round 0 and 2 rounds of 2 strategies; one of the strategies needs the model.
    assert (of_model["active_train"], of_model["active_acquire_with_model"]) == (10, 4)
    assert of_model["active_acquire"] == of_model["active_start"] == 0
    of_more = left(made, merged(SMALL, active={"rounds": 3}))
    assert of_more["active_train"] == 4 and "train" not in of_more


@pytest.mark.parametrize(
    ("removed", "change", "expected"),
    [
        # Intermediate results that nothing needs.
        ([f"{UNET}/weights.pt", f"{UNET}/history.csv"], {}, []),
        ([f"{UNET}/weights.pt", f"{ROUND}/weights.pt"], {"draws": 32}, ["train", "active_train", "sample", "evaluate"]),
        ([f"{UNET}/history.csv"], {"draws": 32}, ["sample", "evaluate"]),
        # Targets.
        (["results/tables/summary.csv"], {}, ["tabulate"]),
        (
            ["results/figures/ged_by_samples.png", "results/tables/comparisons.csv"],
            {},
            ["tabulate", "plot_ged_by_samples"],
        ),
        # Records: of another version, and gone.
        (["results/records/train/phantom_lung/unet/seed0.json"], {}, ["train"]),
        (["results/records/prepare/phantom_lung.json"], {}, ["prepare"]),
        (["results/records/train/phantom_lung/unet/seed0.json", f"{UNET}/weights.pt", f"{UNET}/history.csv"], {}, []),
    ],
)
def test_what_is_missing(made: Path, tmp_path: Path, removed: list[str], change: dict, expected: list[str]) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "made"))
    for path in removed:
        (folder / path).unlink()
    found = left(folder, {**SMALL, **change})
    assert set(expected) <= set(found) if change else list(found) == expected


def test_what_targets_need(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "made"))
    (folder / f"{UNET}/weights.pt").unlink()
    assert not left(folder, SMALL, "tables")
    assert left(folder, SMALL, "models") == left(folder, SMALL, f"{UNET}/weights.pt") == {"train": 1}
    assert not left(folder, SMALL, f"{UNET}/history.csv")


def test_edited_code(made: Path, tmp_path: Path) -> None:
    """Here simulated by another identity in a record: that job runs, and what follows says that it is up to date."""
    folder = Path(shutil.copytree(made, tmp_path / "made"))
    record = folder / "results/records/train/phantom_lung/unet/seed0.json"
    changed = json.loads(record.read_text())
    record.write_text(json.dumps({**changed, "identity": "0" * 32}))
    assert left(folder, SMALL) == {"train": 1}
    record.write_text("{")
    assert left(folder, SMALL) == {"train": 1}


def test_results_that_are_missing_after_keep_going_are_no_inputs(tmp_path: Path) -> None:
    """Nor those of an earlier run that are still there: the tables get the paths of the others."""
    overlay = {**TINY, "active": ACTIVE}
    whole, holes = (
        {(job.rule, str(job.cell)): set(job.reads) for job in read(tmp_path, of)[1]}
        for of in (overlay, {**overlay, "missing": HOLES})
    )
    lost = {
        ("tabulate", ""): {
            f"results/scores/phantom_lung/unet/seed0/{name}"
            for name in ("images.csv", "levels.csv", "pixels.csv.gz", "calibration.csv.gz")
        },
        ("active_tabulate", ""): {"results/active/phantom_lung/unet/random/seed3/round1/images.csv"},
        ("plot_sampled_masks", "phantom_lung"): {"results/samples/phantom_lung/unet/seed0.h5"},
    }
    assert {job: whole[job] - holes[job] for job in lost} == lost


def test_two_wrappers_of_a_model_share_its_training(tmp_path: Path) -> None:
    """That model is trained once and not sampled, as it is not in the grid itself."""
    views = {name: {"label": name, "method": "tta", "options": {"of": "prob_unet", "views": n}} for name, n in VIEWS}
    grid = {"datasets": ["phantom_lung"], "models": ["unet", *views]}
    overlay = merged({**TINY, "models": views}, grid=grid)
    assert left(tmp_path, overlay, "samples") == {"prepare": 1, "train": 2, "sample": 3}
    assert left(tmp_path, overlay, "models") == {"prepare": 1, "train": 2}
    make(tmp_path, overlay)
    assert not left(tmp_path, overlay)
    # An option of one: its samples and scores. The wrapped model in the grid: its own, without a training.
    other = merged(overlay, models={"two": {**views["two"], "options": {"of": "prob_unet", "views": 8}}})
    assert model_jobs(left(tmp_path, other)) == {"sample": 1, "evaluate": 1}
    more = merged(overlay, grid={"models": ["unet", "prob_unet", *views]})
    assert model_jobs(left(tmp_path, more)) == {"sample": 1, "evaluate": 1}
    # A setting of the model behind them: one training, and the samples of both.
    other = merged(overlay, models={"prob_unet": {"options": {"beta": 0.5}}})
    assert model_jobs(left(tmp_path, other)) == {"train": 1, "sample": 2, "evaluate": 2}


VIEWS = (("two", 2), ("four", 4))


def model_jobs(jobs: Counter[str]) -> dict[str, int]:
    return {rule: count for rule, count in jobs.items() if rule in ("train", "sample", "evaluate")}

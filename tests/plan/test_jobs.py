"""The walk over the rules finds Snakemake's jobs, edges and outputs; and knows which jobs are done."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from helpers.plans import ACTIVE, make, read
from helpers.workflow import ROOT, TINY, merged, where

from segunc.plan.jobs import done
from segunc.plan.report import report
from segunc.runtime.errors import UserError

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
    **{target: (ONE_SKIN, [target]) for target in ("data", "models", "samples", "tables", "figures", "active")},
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
    # 2 datasets x 4 models x 5 seeds, with round 0 and 2 strategies of 10 rounds each.
    assert jobs["train"] == jobs["sample"] == 40
    assert jobs["active_train"] == jobs["active_evaluate"] == 40 * 21
    assert (jobs["active_acquire_with_model"], jobs["active_acquire"]) == (40 * 10, 2 * 5 * 10)
    assert sum(jobs.values()) == 2341


def test_what_is_done(tmp_path: Path) -> None:
    overlay = {**TINY, "active": ACTIVE}
    jobs = make(tmp_path, overlay)

    def left(overlay: dict) -> Counter[str]:
        parsed, jobs = read(tmp_path, overlay)
        finished = done(parsed.rules, parsed.config, jobs, tmp_path)
        return Counter(job.rule for job, is_done in zip(jobs, finished, strict=True) if not is_done)

    assert not left(overlay)
    said = report(where(tmp_path, overlay))
    assert "Nothing is left to do" in said
    assert f"total {len(jobs)} {len(jobs)} - -" in " ".join(said.split())
    # A setting of one model, and what reads its results.
    of_model = left({**overlay, "models": {"prob_unet": {"options": {"beta": 0.1}}}})
    assert (of_model["train"], of_model["evaluate"], of_model["prepare"]) == (2, 2, 0)
    # 2 seeds with round 0 and 2 rounds of 4 strategies; two of the strategies need the model.
    assert of_model["active_train"], of_model["active_acquire_with_model"] == (18, 8)
    assert of_model["active_acquire"] == 0
    # Edited code, here simulated by another digest in the record.
    record = tmp_path / "results/records/train/phantom_lung/unet/seed0.json"
    changed = json.loads(record.read_text())
    changed["code"]["segunc.metrics.ged"] = "0" * 12
    record.write_text(json.dumps(changed))
    of_code = left(overlay)
    assert (of_code["train"], of_code["sample"], of_code["evaluate"], of_code["tabulate"]) == (1, 1, 1, 1)
    assert not {"active_train", "prepare", "baselines"} & set(of_code)
    # A module that is gone, and a record that is gone.
    changed["code"] = {"segunc.no_such_module": "0" * 12}
    record.write_text(json.dumps(changed))
    assert left(overlay) == of_code
    record.unlink()
    assert left(overlay) == of_code

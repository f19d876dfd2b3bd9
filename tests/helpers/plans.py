"""Grids as `segunc plan` sees them, without running anything."""

import json
from pathlib import Path

import h5py
import numpy as np

from helpers.workflow import TINY, where
from segunc.plan.jobs import Job, jobs_of
from segunc.runtime import records
from segunc.runtime.code_digest import code_of
from segunc.runtime.digests import content
from segunc.runtime.records import Input, Record
from segunc.workflow.snakemake_internals import Parsed, parse, planned_jobs

ACTIVE = {
    "datasets": ["phantom_lung"],
    "models": ["unet", "prob_unet"],
    "strategies": ["random", "entropy", "coreset", "disagreement"],
    "seeds": [3, 5],
    "start": 4,
    "add": 2,
    "rounds": 2,
    "training": {"steps": 6, "epochs": None},
}


def read(folder: Path, overlay: dict | None = None, *targets: str) -> tuple[Parsed, list[Job]]:
    """What `snakemake <targets>` would work on in the folder, and its jobs."""
    parsed = parse([*targets, *where(folder, TINY if overlay is None else overlay)])
    return parsed, jobs_of(parsed.rules, parsed.targets)


def make(folder: Path, overlay: dict) -> int:
    """Empty results and true records of all jobs, as far as the plan reads them; returns how many jobs there are."""
    jobs, _ = planned_jobs(where(folder, overlay))
    for job in jobs:
        outputs = {}
        for label, path in job.facts.outputs.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
            outputs[label] = content(folder / path)
        spec, code = json.loads(job.facts.spec), code_of(job.facts.code)
        inputs: dict[str, Input] = {
            path: {"identity": identity, "sha256": content(folder / path)["sha256"]}
            for path, _, identity in job.facts.inputs
        }
        record = Record(spec, code, {}, "2026-01-31T12:00:00+00:00", [], job.identity, inputs=inputs, outputs=outputs)
        records.write(folder / job.facts.record, record)
    return len(jobs)


def took(folder: Path, name: str, seconds: float) -> None:
    """Records that a job took so long, in its record, or in one that says nothing else."""
    path = folder / f"results/records/{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = records.read(path) or Record({}, {}, {}, "2026-01-31T12:00:00+00:00", [])
    records.write(path, record._replace(cost={"seconds": seconds, "cpu_seconds": seconds, "max_rss_mb": 1}))


def store(folder: Path, name: str, images: int, size: int) -> None:
    """A store of black images, 10 of them to validate and 10 to test."""
    path = folder / f"results/data/{name}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((images, 1, size, size), np.uint8)
        file["masks"] = np.zeros((images, 4, size, size), np.uint8)
        file["split"] = ["train"] * (images - 20) + ["val"] * 10 + ["test"] * 10

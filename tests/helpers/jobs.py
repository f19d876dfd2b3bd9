"""Jobs of a toy workflow, and their records, without Snakemake."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segunc.runtime import digests, records
from segunc.runtime.job import Source, Task
from segunc.runtime.records import Record

CODE = "segunc.runtime 0"
"""A param `code` that covers no module, so that no edit of the sources matters."""


def record_of(files: Mapping[str, Path], **changes: Any) -> Record:
    """The record of a job that wrote these files, by label."""
    outputs = {label: digests.content(path) for label, path in files.items()}
    record = Record({"a": 1}, {}, {"python": "3.11.7"}, finished="2026-01-31T12:00:00+00:00", accepted=[])
    return record._replace(**{"identity": "i" * 32, "key": "k" * 32, "outputs": outputs, **changes})


def write(folder: Path, name: str, files: Mapping[str, str], **changes: Any) -> Record:
    """Writes the results of a finished job, text by label, and its record."""
    paths = {label: folder / name / label for label in files}
    for label, text in files.items():
        paths[label].parent.mkdir(parents=True, exist_ok=True)
        paths[label].write_text(text)
    record = record_of(paths, **{"identity": f"identity of {name}", **changes})
    records.write(folder / f"records/{name}.json", record)
    return record


def task(folder: Path, name: str, inputs: Mapping[str, str], **changes: Any) -> Task:
    """A job that writes `<name>/cell.h5`; inputs: label by the name of the job that writes the file (`write`)."""
    sources = [Source(f"{folder}/{of}/{label}", label, f"{folder}/records/{of}.json") for of, label in inputs.items()]
    made = Task(
        record=f"{folder}/records/{name}.json",
        spec={"draws": 16},
        code=CODE,
        command="",
        inputs=sources,
        outputs={"cell.h5": f"{folder}/{name}/cell.h5"},
        keep=f"{folder}/.kept",
        anew=False,
    )
    return made._replace(**changes)

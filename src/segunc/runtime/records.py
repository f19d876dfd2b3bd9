"""The record of a job: what its results were made from, and which bytes were written.

Each job writes one, `results/records/<step>/<cell>.json`. It alone decides whether the results are up to date: they are
if its identity is the one that the current config, sources and raw data give, and if its files are as they were
written.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from segunc.runtime.digests import Content
from segunc.runtime.files import write_atomically

LIBRARIES = ("numpy", "torch", "h5py", "pandas", "matplotlib", "scipy", "PIL", "pydicom")


class Input(TypedDict):
    """A file that a job read."""

    identity: str
    """Of the job that wrote it."""
    sha256: str


class Record(NamedTuple):
    """What is recorded about one job."""

    spec: dict[str, Any]
    """The settings that the results depend on."""
    code: dict[str, str]
    """Digest by module: those that the stage imports, as they were when it started."""
    versions: dict[str, str]
    """Of Python and of the libraries that the stage imported."""
    finished: str
    """When the results were computed, in UTC (ISO 8601)."""
    accepted: list[dict[str, Any]]
    """Edits that a user declared to change no result (`segunc accept`): `when`, and `code`, the previous digests of the
    modules that differed."""
    identity: str = ""
    """`identity` of these settings, this code and these inputs. Empty in records of earlier versions."""
    key: str = ""
    """`key` of these settings, this code and the bytes of these inputs."""
    inputs: dict[str, Input] = {}  # noqa: RUF012
    """By path, in the order of the rule."""
    outputs: dict[str, Content] = {}  # noqa: RUF012
    """What was written, by the label of the file: the last part of its pattern in the rule (`weights.pt`)."""
    restored: str = ""
    """When the results were restored instead of computed, in UTC; else empty."""
    job: str = ""
    """Step and cell: `train/lidc/unet/seed0`."""
    command: str = ""
    """The options that the rule passed, and the ids of the cell if they stand in the results."""
    cost: dict[str, float] = {}  # noqa: RUF012
    """What it took to compute the results: `seconds`, `cpu_seconds` (user and system) and `max_rss_mb`, the most memory
    that the process occupied."""


def identity(spec: Any, code: str, command: str, inputs: Iterable[tuple[str, str]]) -> str:
    """The identity of a result, 32 hex digits: equal if and only if settings, code and identities of inputs are.

    spec: the settings; code: entry modules and digest (`code_param`); command: the options that the rule passes;
    inputs: label and identity of each, in the order of the rule. Nothing in it depends on machine, paths or time.
    """
    return _digest("identity", spec, code, command, inputs)


def key(spec: Any, code: str, command: str, inputs: Iterable[tuple[str, str]]) -> str:
    """The key of a result among those that are kept: like `identity`, but with the SHA-256 of each input."""
    return _digest("key", spec, code, command, inputs)


def _digest(kind: str, spec: Any, code: str, command: str, inputs: Iterable[tuple[str, str]]) -> str:
    facts = json.dumps([kind, spec, code, command, [list(pair) for pair in inputs]])
    return hashlib.sha256(facts.encode()).hexdigest()[:32]


def read(path: Path | str) -> Record | None:
    """The record of a job; None if there is none, or if it is not one that segunc writes."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 (thousands are read, and a Path costs a third)
            values = json.load(file)
        record = Record(**values)
    except (OSError, ValueError, TypeError):
        return None
    fits = all(isinstance(value, kind) for value, kind in zip(record, KINDS, strict=True))
    return record if fits and _have(record.inputs, INPUT) and _have(record.outputs, OUTPUT) else None


KINDS = (dict, dict, dict, str, list, str, str, dict, dict, str, str, str, dict)
"""Types of the fields of Record."""
INPUT = {"identity": str, "sha256": str}
OUTPUT = {"bytes": int, "sha256": str, "rows": int}


def _have(files: Mapping[str, Any], kinds: Mapping[str, type]) -> bool:
    """Whether the entry of each file has values of these types, and a digest that may be part of a path."""
    return all(
        isinstance(entry, dict)
        and all(isinstance(entry.get(name), kind) for name, kind in kinds.items())
        and re.fullmatch("[0-9a-f]{64}", entry["sha256"])
        for entry in files.values()
    )


def same_settings(record: Record, spec: str) -> bool:
    """Whether the record has the settings of the param `spec`.

    Compared as text, because the order of settings may matter: figures show models in the order of the config.
    """
    return json.dumps(record.spec) == json.dumps(json.loads(spec))


def write(path: Path, record: Record) -> None:
    """Writes the record to `path`, in place of any other."""
    with write_atomically(path) as beside:
        beside.write_text(to_text(record), encoding="utf-8")


def to_text(record: Record) -> str:
    """The record as JSON."""
    return json.dumps(record._asdict(), indent=1) + "\n"

"""The record of a job: the settings (`spec`) and the code that its results were computed from.

Each job writes one, `results/records/<step>/<cell>.json`. `segunc why` reads it, and it decides what is up to date
where Snakemake's own metadata is missing.
"""

import json
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from segunc.runtime.code_digest import code_of
from segunc.runtime.files import write_atomically

LIBRARIES = ("numpy", "torch", "h5py", "pandas", "matplotlib", "scipy", "PIL", "pydicom")


class Record(NamedTuple):
    """What is recorded about one job."""

    spec: dict[str, Any]
    """The settings that the results depend on."""
    code: dict[str, str]
    """Digest by module: those that the stage imports, as they were when it started."""
    versions: dict[str, str]
    """Of Python and of the libraries that the stage imported."""
    finished: str
    """When, in UTC (ISO 8601)."""
    accepted: list[dict[str, Any]]
    """Edits that a user declared to change no result (`segunc accept`): `when`, and `code`, the previous digests of the
    modules that differed."""


def write(path: Path, spec: Mapping[str, Any], code: Mapping[str, str]) -> None:
    """Writes the record of a finished job."""
    loaded = [name for name in LIBRARIES if name in sys.modules]
    versions = {name: version("pillow" if name == "PIL" else name) for name in loaded}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    replace(path, Record(dict(spec), dict(code), {"python": platform.python_version(), **versions}, now, []))


def read(path: Path) -> Record | None:
    """The record of a job; None if there is none or it is not readable."""
    try:
        record = Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return record if isinstance(record.spec, dict) and isinstance(record.code, dict) else None


def made_from(path: Path | str, spec: str, code: str) -> bool:
    """Whether the record at `path` states that its results were computed from the params `spec` and `code`."""
    record = read(Path(path))
    return record is not None and same_settings(record, spec) and record.code == code_of(code)


def same_settings(record: Record, spec: str) -> bool:
    """Whether the record has the settings of the param `spec`.

    Compared as text, because the order of settings may matter: figures show models in the order of the config.
    """
    return json.dumps(record.spec) == json.dumps(json.loads(spec))


def replace(path: Path, record: Record) -> None:
    """Replaces the record at `path` by `record`."""
    with write_atomically(path) as beside:
        beside.write_text(json.dumps(record._asdict(), indent=1) + "\n", encoding="utf-8")

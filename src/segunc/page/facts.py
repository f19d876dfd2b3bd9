"""What a run was made with: versions, commit, machine, and what its jobs took."""

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from segunc.runtime import records
from segunc.runtime.code_digest import PACKAGE
from segunc.runtime.records import Record


class Step(NamedTuple):
    """What the jobs of one rule took together."""

    name: str
    jobs: int
    seconds: float
    cpu_seconds: float
    max_rss_mb: float
    """The most memory of a job."""


def behind(folder: Path, identities: Iterable[str]) -> list[Record]:
    """The records of everything that results are made from, those of the results included.

    Results of other experiments have records in the same folder; theirs are not among them.

    Parameters
    ----------
    folder
        Of all records.
    identities
        Of the results.
    """
    of_file = filter(None, map(records.read, sorted(folder.rglob("*.json"))))
    by_identity = {record.identity: record for record in of_file}
    found: dict[str, Record] = {}
    waiting = list(identities)
    while waiting:
        identity = waiting.pop()
        record = by_identity.get(identity)
        if record is not None and identity not in found:
            found[identity] = record
            waiting += [entry["identity"] for entry in record.inputs.values()]
    return sorted(found.values(), key=lambda record: record.finished)


def steps(found: Iterable[Record]) -> list[Step]:
    """What the jobs took, by rule, in the order in which the first of each finished."""
    by_name: dict[str, list[Record]] = {}
    for record in found:
        by_name.setdefault(record.job.partition("/")[0], []).append(record)
    return [
        Step(
            name,
            len(own),
            sum(record.cost.get("seconds", 0) for record in own),
            sum(record.cost.get("cpu_seconds", 0) for record in own),
            max(record.cost.get("max_rss_mb", 0) for record in own),
        )
        for name, own in by_name.items()
    ]


def versions(found: Iterable[Record]) -> dict[str, str]:
    """The versions of segunc, Python and libraries; several where jobs ran with different ones."""
    by_name: dict[str, set[str]] = {"segunc": {_of_segunc()}}
    for record in found:
        for name, number in record.versions.items():
            by_name.setdefault("pillow" if name == "PIL" else name, set()).add(number)
    return {name: ", ".join(sorted(numbers)) for name, numbers in by_name.items()}


def _of_segunc() -> str:
    try:
        return version("segunc")
    except PackageNotFoundError:
        return "not installed"


def commit() -> str | None:
    """The commit of the checkout, with `-dirty` if files of it were edited; None if it is not one of git."""
    checkout = PACKAGE.parents[1]
    if not (checkout / ".git").exists():
        return None
    command = [
        "git",
        "--no-optional-locks",
        "-C",
        str(checkout),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None


def machine() -> str:
    """The machine that this program runs on: system, processor, cores and memory."""
    parts = [f"{platform.system()} {platform.machine()}", _processor(), f"{os.cpu_count()} cores"]
    if memory := _memory_bytes():
        parts.append(f"{memory / 2**30:.0f} GiB of memory")
    return ", ".join(filter(None, parts))


def _processor() -> str:
    """The name of the processor, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0

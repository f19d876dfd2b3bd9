"""Finished results that are set aside: `results/.kept/`, or the folder `keep` of the config.

Objects are files by the SHA-256 of their bytes, hard links to the results where the file system has them. Entries are
records by their key: what the results were made from, and which objects they are. All writing is atomic, so that the
folder may be shared, and no kill damages it. An object that was changed in place is noticed when it is restored.
"""

import os
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from segunc.runtime import records
from segunc.runtime.digests import sha256
from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically
from segunc.runtime.records import Record

ABANDONED = 24 * 3600
"""Seconds after which a temporary file counts as left by a killed process."""
RECENT = 3600
"""Seconds for which an object without an entry stays."""


class Entry(NamedTuple):
    """A kept result."""

    path: Path
    record: Record
    used: float
    """When it was last stored or restored, in seconds since 1970."""

    @property
    def objects(self) -> set[str]:
        """SHA-256 of its files."""
        return {content["sha256"] for content in self.record.outputs.values()}


def remember(folder: Path, record: Record, files: Mapping[str, Path]) -> str | None:
    """Keeps the files of a finished job, by label. Returns why that is not possible, None if they are kept."""
    try:
        for label, path in files.items():
            _store(path, _object(folder, record.outputs[label]["sha256"]))
        with write_atomically(_entry(folder, record.key)) as beside:
            beside.write_text(records.to_text(record), encoding="utf-8")
    except OSError as error:
        return f"{folder} cannot be written to ({error.strerror})"
    except UserError as error:
        return str(error)
    return None


def restore(folder: Path, key: str, files: Mapping[str, Path]) -> Record | None:
    """Puts kept files in place, by label, and returns their record; None if they are not kept or damaged."""
    path = _entry(folder, key)
    record = records.read(path)
    if record is None or record.key != key or set(record.outputs) != set(files):
        return None
    sources = {label: _object(folder, content["sha256"]) for label, content in record.outputs.items()}
    for label, source in sources.items():
        try:
            intact = sha256(source) == record.outputs[label]["sha256"]
        except OSError:
            intact = False
        if not intact:
            # What is damaged would be found again and again.
            for rest in (source, path):
                with suppress(OSError):
                    rest.unlink()
            return None
    try:
        for label, target in files.items():
            with write_atomically(target) as beside:
                _link(sources[label], beside)
    except FileNotFoundError:  # Somebody who shares the folder removed it meanwhile.
        return None
    with suppress(OSError):  # It may belong to somebody else.
        os.utime(path)
    return record


def find(folder: Path, key: str) -> Record | None:
    """The record of the entry with a key; None if there is none, or if its objects seem to be incomplete."""
    record = records.read(_entry(folder, key))
    if record is None or record.key != key:
        return None
    with suppress(OSError):
        if all(_object(folder, c["sha256"]).stat().st_size == c["bytes"] for c in record.outputs.values()):
            return record
    return None


def has(folder: Path, record: Record) -> bool:
    """Whether the results of a record are kept."""
    found = find(folder, record.key)
    return found is not None and found.outputs == record.outputs


def entries(folder: Path) -> list[Entry]:
    """All entries, the least recently used first."""
    found = []
    # Not those that another process is about to rename, which begin with a dot.
    for path in folder.glob("entries/*/[!.]*.json"):
        record = records.read(path)
        with suppress(OSError):
            if record is not None:
                found.append(Entry(path, record, path.stat().st_mtime))
    return sorted(found, key=lambda entry: entry.used)


def extra_bytes(folder: Path, *kept: Record) -> int:
    """Bytes of the objects of entries that exist only here, each object once: removing all of them would free these."""
    total = 0
    for digest in {content["sha256"] for record in kept for content in record.outputs.values()}:
        with suppress(OSError):
            status = _object(folder, digest).stat()
            total += status.st_size if status.st_nlink == 1 else 0
    return total


def prune(folder: Path, limit: float, older_than: float | None = None) -> int:
    """Removes entries, least recently used first, until those that are in no results folder take at most `limit` bytes.

    older_than: seconds since 1970; only entries last used before it are removed. Objects that no entry names are
    removed as well, unless they are also in a results folder. Returns the bytes that were freed.
    """
    if not folder.is_dir():
        return 0
    _remove_abandoned(folder)
    objects = {path.name: path.stat() for path in folder.glob("objects/*/*") if not path.name.startswith(".")}
    total = sum(status.st_size for status in objects.values() if status.st_nlink == 1)
    before = total
    if total <= limit and older_than is None:
        return 0
    found = entries(folder)
    names = Counter(digest for entry in found for digest in entry.objects)
    for digest, status in objects.items():
        # A new object may wait for its entry.
        if digest not in names and status.st_nlink == 1 and status.st_ctime < time.time() - RECENT:
            total -= status.st_size * _remove(_object(folder, digest))
    for entry in found:
        if total <= limit or (older_than is not None and entry.used >= older_than):
            break
        if all(digest in objects and objects[digest].st_nlink > 1 for digest in entry.objects):
            continue
        if not _remove(entry.path):
            continue
        for digest in entry.objects:
            names[digest] -= 1
            if not names[digest] and digest in objects and objects[digest].st_nlink == 1:
                total -= objects[digest].st_size * _remove(_object(folder, digest))
    return before - total


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _remove_abandoned(folder: Path) -> None:
    for path in [*folder.glob("objects/*/.*.partial*"), *folder.glob("entries/*/.*.partial*")]:
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - ABANDONED:
                path.unlink()


def _store(path: Path, target: Path) -> None:
    path = path.resolve()  # A link to a link would be kept without its content.
    with suppress(OSError):
        # An object that is in no results folder any more makes room for the link to this file.
        if target.samefile(path) or (target.stat().st_nlink > 1 and sha256(target) == target.name):
            return
    with write_atomically(target) as beside:
        _link(path, beside)


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # Another file system, one without hard links, or too many of them.
        shutil.copyfile(source, target)


def _object(folder: Path, digest: str) -> Path:
    return folder / "objects" / digest[:2] / digest


def _entry(folder: Path, key: str) -> Path:
    return folder / "entries" / key[:2] / f"{key}.json"

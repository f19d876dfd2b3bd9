"""Digests of files: of their bytes, and remembered ones of files that nobody touched since."""

import gzip
import hashlib
import json
import os
import stat
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically

PIECE = 2**20


class Content(TypedDict):
    """What identifies the bytes of a file; `rows` is 0 for anything but tables."""

    bytes: int
    sha256: str
    rows: int
    """Lines without the header, of a `.csv` or `.csv.gz`."""


def content(path: Path) -> Content:
    """Size and digest of a file. Raises OSError if it cannot be read."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path), "rows": _rows(path)}


def sha256(path: Path) -> str:
    """SHA-256 of the bytes of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rows(path: Path) -> int:
    if not path.name.endswith((".csv", ".csv.gz")):
        return 0
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return max(0, sum(piece.count(b"\n") for piece in iter(lambda: file.read(PIECE), b"")) - 1)


def difference(path: Path, expected: Content) -> str | None:
    """How a file differs from what was written, in words; None if it does not. Raises OSError if it cannot be read."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"  # A pipe would be waited for.
    size = status.st_size
    if size == expected["bytes"] and sha256(path) == expected["sha256"]:
        return None
    if expected["rows"]:
        with suppress(OSError, EOFError, zlib.error):
            if (rows := _rows(path)) != expected["rows"]:
                return f"it has {rows} rows instead of {expected['rows']}"
    if size != expected["bytes"]:
        return f"it has {size} bytes instead of {expected['bytes']}"
    return "its content differs from what was written"


class Memory:
    """SHA-256 of files by path, kept in a JSON file between runs.

    A digest counts as long as size, modification time, change time and inode of the file are the same. A memory that
    cannot be read or written only costs time.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, list[object]] = {}
        with suppress(OSError, ValueError):
            known = json.loads(file.read_text(encoding="utf-8"))
            self._known = known if isinstance(known, dict) else {}
        self._changed = False

    def differs(self, path: str, status: os.stat_result, expected: Content) -> str | None:
        """`difference`, without reading the file if it was read before; `status` is that of the file."""
        state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, expected["sha256"]]
        if status.st_size == expected["bytes"] and self._known.get(path) == state:
            return None
        found = difference(Path(path), expected)
        if found is None:
            self._known[path] = state
            self._changed = True
        return found

    def save(self) -> None:
        """Writes the file if anything was learnt."""
        if self._changed:
            with suppress(OSError, UserError), write_atomically(self._file) as beside:
                beside.write_text(json.dumps(self._known), encoding="utf-8")
            self._changed = False

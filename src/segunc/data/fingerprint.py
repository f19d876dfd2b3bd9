"""Has raw data changed? Its digest, computed once and cached until one of its files is touched."""

import hashlib
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from segunc.data.archive import digest, walk
from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically

SLOW = 2**30
"""Bytes from which reading is announced, because it takes seconds."""


def remembered_digest(path: Path, memory: Path) -> str:
    """`segunc.data.archive.digest` of a file or folder, from the JSON file `memory` if no file was touched since.

    A file is touched if its size, modification time or change time differs. The system sets the change time even of a
    copy that keeps the time stamps of its source. A memory that cannot be read or written only costs time.
    """
    try:
        state, size = _state(path)
    except OSError:
        return digest(path)  # raises the error in one sentence
    key = str(path.resolve())
    known = _read(memory)
    if known.get(key, [None])[0] == state:
        return known[key][1]
    if size >= SLOW:
        print(f"segunc: reading {path} ({size / 2**30:.1f} GiB) to check whether it has changed", file=sys.stderr)
    result = digest(path)
    with suppress(OSError, UserError), write_atomically(memory) as beside:
        beside.write_text(json.dumps({**_read(memory), key: [state, result]}, indent=1), encoding="utf-8")
    return result


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(walk(path))


def _state(path: Path) -> tuple[str, int]:
    """A digest of what changes when a file is touched, and the total bytes of all files."""
    lines, size = hashlib.sha256(), 0
    for file in _files(path):
        status = file.stat()
        facts = f"\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\n"
        lines.update(os.fsencode(file) + facts.encode())
        size += status.st_size
    return lines.hexdigest(), size


def _read(memory: Path) -> dict[str, list[str]]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}

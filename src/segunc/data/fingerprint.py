"""Has raw data changed? Its digest, which is computed once and then remembered as long as no file is touched."""

import hashlib
import json
import os
import sys
from pathlib import Path

from segunc.data.archive import digest
from segunc.files import write_atomically

SLOW = 2**30
"""Bytes from which on reading is announced: it takes seconds."""


def remembered_digest(path: Path, memory: Path) -> str:
    """`segunc.data.archive.digest` of a file or folder, from the JSON file `memory` if nothing was touched since.

    Touched is what has another size, modification or change time; the last one is set by the system even for a copy
    that keeps the time stamps of its source. A memory that cannot be read or written costs time only.
    """
    state = _state(path)
    key = str(path.resolve())
    known = _read(memory)
    if known.get(key, [None])[0] == state:
        return known[key][1]
    size = _size(path)
    if size >= SLOW:
        print(f"segunc: reading {path} ({size / 2**30:.1f} GiB) to see whether it changed", file=sys.stderr)
    result = digest(path)
    try:
        with write_atomically(memory) as beside:
            beside.write_text(json.dumps({**_read(memory), key: [state, result]}, indent=1), encoding="utf-8")
    except OSError:
        pass
    return result


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(Path(folder) / name for folder, _, names in os.walk(path) for name in names)


def _state(path: Path) -> str:
    lines = hashlib.sha256()
    for file in _files(path):
        status = file.stat()
        lines.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\n".encode())
    return lines.hexdigest()


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in _files(path))


def _read(memory: Path) -> dict[str, list[str]]:
    try:
        return json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}

"""Has raw data changed? Its digest, computed once and cached until one of its files is touched."""

import hashlib
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from segunc.data.archive import IGNORED, digest, walk
from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically

SLOW = 2**30
"""Bytes from which reading is announced, because it takes seconds."""


def remembered_digest(path: Path, memory: Path) -> str:
    """`segunc.data.archive.digest` of a file or folder, from the JSON file `memory` if no file was touched since.

    A file is touched if its size, modification time or change time differs. The system sets the change time even of a
    copy that keeps the time stamps of its source. A memory that cannot be read or written only costs time.
    Raises UserError if a file cannot be read.
    """
    state, size = state_of(path)
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


def state_of(path: Path) -> tuple[str, int]:
    """A digest of what changes when `path`, or a file in it, is touched, and the total bytes of all these files.

    Files that operating systems add do not count. Raises UserError if a file cannot be found.
    """
    lines, size = hashlib.sha256(), 0
    for file in _files(path):
        try:
            status = file.stat()
        except OSError as error:
            raise UserError(f"{file} cannot be read ({error.strerror}); replace it.") from None
        facts = f"\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\n"
        lines.update(os.fsencode(file) + facts.encode())
        size += status.st_size
    return lines.hexdigest(), size


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in walk(path) if not IGNORED.search(file.relative_to(path).as_posix()))


def _read(memory: Path) -> dict[str, list[str]]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}

"""Atomic writes: a file is complete or not there."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segunc.runtime.errors import UserError

FULL = 2**20
"""Bytes: if less space than this is left, a failed write counts as a full disk, whatever error the library raises."""


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yields a path beside `path` to write to; renames it to `path` at the end, removes it after any error.

    Missing folders are created. The temporary name keeps the suffix, because some writers choose their format by it.
    Raises UserError if the disk is full, or if `path` is a folder.
    """
    beside = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Left by a killed process of the same number; it may be a hard link to another file.
        beside.unlink(missing_ok=True)
        yield beside
        beside.replace(path)
    except Exception as error:
        if _disk_is_full(path.parent, error):
            raise UserError(f"{path} cannot be written, because the disk is full; make room and run again.") from error
        if path.is_dir():
            raise UserError(
                f"{path} is a folder, where a file has to be written; move it away and run again."
            ) from error
        raise
    finally:
        with suppress(OSError):
            beside.unlink()


def _disk_is_full(folder: Path, error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    # HDF5 and torch raise errors of their own, some of which do not contain the cause.
    return not isinstance(error, UserError) and folder.exists() and shutil.disk_usage(folder).free < FULL

"""Opening HDF5 files: stores and samples, which may come from elsewhere or be open in another program."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from segunc.runtime.errors import UserError
from segunc.runtime.reading import reading


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """A store or a samples file, open for reading; the block within it reads from the file and does nothing else.

    No lock is needed, so another program may have the file open, and the file system need not support locks.

    Raises UserError if the file is not there, not readable, not a regular file or damaged; if it cannot be read while
    another program writes it; and if a part of it is anything but a dataset of numbers or text that is stored in the
    file itself.
    """
    try:
        with reading(path), h5py.File(path, "r", locking=False) as file:
            for name in file:
                if not _is_own_dataset(file, name):
                    raise UserError(
                        f"{path} was not written by segunc, because {name!r} in it is not a dataset of numbers or text "
                        "that is stored in the file itself; move it away and run again."
                    )
            yield file
    except UserError:
        if _is_open_for_writing(path):
            raise UserError(f"{path} is open for writing in another program; close it there and run again.") from None
        raise


def create_hdf5(path: Path) -> h5py.File:
    """A new file, open for writing. Without a lock, because some file systems have none; give it a name of its own."""
    return h5py.File(path, "w", locking=False)


def _is_own_dataset(file: h5py.File, name: str) -> bool:
    """Whether it is a dataset of numbers or text, and no link to another file, virtual or in external storage.

    HDF5 would read any file of the machine in such a dataset's place.
    """
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return False
    part = file[name]
    if not isinstance(part, h5py.Dataset) or part.is_virtual or part.external:
        return False
    return part.dtype.kind in "biuf" or h5py.check_string_dtype(part.dtype) is not None


def _is_open_for_writing(path: Path) -> bool:
    """Whether another program holds the lock with which HDF5 opens a file for writing."""
    if path.is_file():
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass  # it may not be read, or the file system has no locks
    return False

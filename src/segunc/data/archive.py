"""Raw data as people have it: a folder, or a zip of it. Both are read in place and look the same."""

import hashlib
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from segunc.errors import UserError

LARGEST_MEMBER = 256 * 2**20
"""Bytes of the largest file that is read. Single images are far smaller, so a larger one is a mistake or a bomb."""

IGNORED = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$|(ATTRIBUTION|LICENSE|README)\.\w+$)")
"""What operating systems and publishers add to the data."""


class Files(NamedTuple):
    """The files of a folder or zip."""

    names: list[str]
    """Relative paths with forward slashes, in natural order."""
    read: Callable[[str], bytes]
    """Content of the file with this name; raises UserError if it is damaged or too large."""


@contextmanager
def open_files(path: Path) -> Iterator[Files]:
    """The files of the folder or zip `path`, without what operating systems and publishers add.

    Nothing is extracted, so names that point outside the archive do no harm. Raises UserError if `path` cannot
    be opened or is neither a folder nor a complete zip.
    """
    if path.is_dir():
        yield _folder(path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise UserError(f"{path} cannot be opened ({error.strerror}); put the raw data there.") from None
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        raise UserError(f"{path} is neither a folder nor a complete zip archive; fetch it again.") from None
    with archive:
        yield _zip(path, archive)


def _folder(path: Path) -> Files:
    def read(name: str) -> bytes:
        file = path / name
        try:
            _check_size(str(file), file.stat().st_size)
            return file.read_bytes()
        except OSError as error:
            raise UserError(f"{file} cannot be read ({error.strerror}); replace it.") from None

    names = ((Path(folder) / file).relative_to(path).as_posix() for folder, _, files in os.walk(path) for file in files)
    return Files(_wanted(names), read)


def _zip(path: Path, archive: zipfile.ZipFile) -> Files:
    def read(name: str) -> bytes:
        info = archive.getinfo(name)
        if info.flag_bits & 1:
            raise UserError(f"{name} in {path} is encrypted; make a zip without a password.")
        _check_size(f"{name} in {path}", info.file_size)
        try:
            return archive.read(info)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError) as error:
            raise UserError(f"{name} in {path} cannot be unpacked ({error}); fetch the archive again.") from None

    return Files(_wanted(info.filename for info in archive.infolist() if not info.is_dir()), read)


def _check_size(what: str, size: int) -> None:
    if size > LARGEST_MEMBER:
        raise UserError(
            f"{what} has {size / 2**20:.0f} MiB, but at most {LARGEST_MEMBER // 2**20} are read; remove or shrink it."
        )


def _wanted(names: Iterator[str]) -> list[str]:
    return sorted((name for name in names if not IGNORED.search(name)), key=natural)


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which `slice-9` comes before `slice-10`."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), part) if position % 2 else (0, part) for position, part in enumerate(parts)]


def digest(path: Path) -> str:
    """SHA-256 of a file; for a folder, SHA-256 over the sorted names of its files and the SHA-256 of each."""
    if path.is_dir():
        with open_files(path) as files:
            lines = [f"{hashlib.sha256(files.read(name)).hexdigest()}  {name}\n" for name in sorted(files.names)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

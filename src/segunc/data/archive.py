"""Raw data as it is distributed: a folder, or a zip or tar of it. All are read in place and look the same.

Nothing is extracted: the names in an archive are labels and never become paths, so absolute paths, `..`, links
and devices are harmless. Only regular files count; a link in a tar is left out. No other file is lost silently: an
archive that may have lost some, because it is cut off, damaged or joined from several, is refused.
"""

import gzip
import hashlib
import lzma
import os
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

from segunc.runtime.errors import UserError

LARGEST_MEMBER = 256 * 2**20
"""Bytes of the largest file that is read. Single images are far smaller, so a larger one is a mistake or a bomb."""
MOST_MEMBERS = 500_000
"""Files of the largest archive that is read; all slices of LIDC-IDRI are half of that."""
MOST_GROWTH = 100
"""How many times its size a gzipped tar, or an archive in an archive, may unpack to. Images grow by 1 to 5, a bomb of
zeros by 1000."""
HARMLESS = 2**30
"""Bytes that any of them may unpack to, however small."""
LARGEST_HEADER = 2**20
"""Bytes of the largest extended header (long names, attributes) in a tar."""
MOST_PADDING = tarfile.RECORDSIZE
"""Bytes of zeros after the first empty block behind the last file of a tar: a second one, and what fills up the last
record of 20 blocks. More of them mean that the file was created in its final size, but not written to its end."""
PIECE = 2**20
PIECES = {zipfile.ZIP_STORED: PIECE, zipfile.ZIP_DEFLATED: PIECE, zipfile.ZIP_LZMA: 2**12}
"""Bytes that are read at once from a member of a zip. With LZMA, zipfile unpacks all of them, to up to 7000 times as
many."""

IGNORED = re.compile(
    r"(^|/)((__MACOSX|\.Spotlight-V100|\.fseventsd|\.TemporaryItems|\.AppleDouble|\.Trash[-\w]*|lost\+found|"
    r"System Volume Information|\$RECYCLE\.BIN|@eaDir|#recycle|#snapshot|@Recycle|@Recently-Snapshot|\.snapshot)/"
    r"|\._|\.DS_Store$|Icon\r$|Thumbs\.db$|desktop\.ini$|(ATTRIBUTION|LICENSE|README)(\.\w+)?$)",
    re.IGNORECASE,
)
"""What operating systems, network storage and publishers add to the data."""
NO_NAME = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]|.{4096}|\A\Z")
"""Control characters, bytes that are not UTF-8 (Python reads them as surrogates), a name too long, an empty one."""


class Files(NamedTuple):
    """The files of a folder or archive."""

    names: list[str]
    """Relative paths with forward slashes, in natural order, each once."""
    read: Callable[[str], bytes]
    """Content of the file with this name; raises UserError if it is damaged or too large."""
    inside: Callable[[str], AbstractContextManager["Files"]]
    """The files of the archive with this name, as `open_files` gives them."""


@contextmanager
def open_files(path: Path | Sequence[Path]) -> Iterator[Files]:
    """The files of the folder, zip, tar or gzipped tar `path`, without what operating systems and publishers add.

    Several are read as one, in which each is a folder of its name.

    The kind of archive is recognised by content, not by suffix. A gzipped tar can only be read from its start, so it is
    unpacked once, to an unnamed file in the temporary folder (`TMPDIR`), which needs room for it. Then files can be
    read in any order at the same cost. Raises UserError if `path` cannot be opened, is neither a folder nor a complete
    archive, unpacks to more than `MOST_GROWTH` times its size, has more than `MOST_MEMBERS` files, or different files
    of the same name; identical ones count as one.
    """
    if not isinstance(path, Path):
        with _together(path) as files:
            yield files
        return
    if _is_folder(path):
        yield _folder(path)
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{path} cannot be opened ({error.strerror}); put the raw data there.") from None
    with file, _archive(file, str(path)) as files:
        yield files


@contextmanager
def _together(paths: Sequence[Path]) -> Iterator[Files]:
    with ExitStack() as stack:
        parts: dict[str, Files] = {}
        for path in paths:
            if path.name in parts:
                raise UserError(f"{path} is the second of that name that is read as one with others; rename it.")
            parts[path.name] = stack.enter_context(open_files(path))

        def of(name: str) -> tuple[Files, str]:
            part, _, inside = name.partition("/")
            return parts[part], inside

        def read(name: str) -> bytes:
            part, inside = of(name)
            return part.read(inside)

        def inside(name: str) -> AbstractContextManager[Files]:
            part, within = of(name)
            return part.inside(within)

        yield Files([f"{part}/{name}" for part, files in parts.items() for name in files.names], read, inside)


def _folder(path: Path) -> Files:
    def read(name: str) -> bytes:
        with _opened(path / name) as file:
            _check_size(str(path / name), os.fstat(file.fileno()).st_size)
            return file.read()

    names = (file.relative_to(path).as_posix() for file in walk(path))
    return Files(_wanted(names, str(path)), read, lambda name: open_files(path / name))


def walk(folder: Path) -> Iterator[Path]:
    """The files below a folder, in no order. Links to folders are followed, unless they lead back to one above.

    Folders that operating systems add are left out, because they are often not readable. Raises UserError for any other
    that cannot be read.
    """
    left = [(folder, frozenset[tuple[int, int]]())]
    while left:
        here, above = left.pop()
        try:
            status = here.stat()
            entries = list(os.scandir(here))
        except OSError as error:
            raise UserError(f"{here} cannot be read ({error.strerror}); make it readable or remove it.") from None
        if (status.st_dev, status.st_ino) in above:
            continue
        inside = above | {(status.st_dev, status.st_ino)}
        for entry in entries:
            if not _is_folder(entry):
                yield here / entry.name
            elif not IGNORED.search(f"{entry.name}/"):
                left.append((here / entry.name, inside))


def _is_folder(path: Path | os.DirEntry[str]) -> bool:
    try:
        return path.is_dir()
    except OSError:  # reading it as a file then reports the error
        return False


@contextmanager
def _opened(file: Path) -> Iterator[BufferedReader]:
    """The open file; raises UserError if opening or reading fails, or for a pipe or device, which may never end."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise UserError(f"{file} is not a regular file; remove it.")
        with file.open("rb") as opened:
            yield opened
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); replace it.") from None


@contextmanager
def _archive(file: IO[bytes], what: str) -> Iterator[Files]:
    """The files of the archive in `file`; `what` is its name in messages."""
    head = file.read(tarfile.BLOCKSIZE)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if head.startswith(b"\x1f\x8b"):
        with _copy(_unzipped(file, what), what, size) as unpacked:
            if not _is_tar(unpacked.read(tarfile.BLOCKSIZE)):
                raise UserError(f"{what} is gzip-compressed, but does not contain a tar archive; fetch it again.")
            yield _tar(unpacked, what)
    elif _is_tar(head):
        yield _tar(file, what)
    else:
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
            raise UserError(
                f"{what} is neither a folder nor a complete zip archive nor a tar archive; fetch it again."
            ) from None
        with archive:
            first = min((info.header_offset for info in archive.infolist()), default=size)
            if head.startswith(b"PK\3\4") and first > 0:  # a program that unpacks itself does not begin with a file
                raise UserError(
                    f"{what} has files before those that it lists, as if several archives were joined; fetch it again, "
                    "or pack all files into one archive."
                )
            yield _zip(archive, what)


def _unzipped(file: IO[bytes], what: str) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=file) as packed:
            while piece := packed.read(PIECE):
                yield piece
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UserError(f"{what} is cut off or damaged ({error}); fetch it again.") from None


@contextmanager
def _copy(pieces: Iterator[bytes], what: str, size: int) -> Iterator[IO[bytes]]:
    """All pieces in a temporary file without a name, which disappears when closed; `size`: bytes when packed."""
    limit = max(HARMLESS, MOST_GROWTH * size)
    with tempfile.TemporaryFile() as copy:
        try:
            for piece in pieces:
                if copy.tell() + len(piece) > limit:
                    raise UserError(
                        f"{what} is {size / 2**20:.1f} MiB, but unpacks to more than {limit // 2**20}, which images "
                        "never do; fetch it again."
                    )
                copy.write(piece)
            copy.seek(0)
        except OSError as error:
            raise UserError(
                f"{what} cannot be unpacked to {tempfile.gettempdir()} ({error.strerror}); "
                "make room there or set TMPDIR to another folder."
            ) from None
        yield copy


class _Member(NamedTuple):
    name: str
    size: int
    """Bytes, unpacked."""
    packed: int
    place: int
    """Of its first byte in a tar; its position in the list of a zip."""


def _zip(archive: zipfile.ZipFile, what: str) -> Files:
    def pieces(member: _Member) -> Iterator[bytes]:
        info = infos[member.place]
        if info.flag_bits & 1:
            raise UserError(f"{member.name} in {what} is encrypted; make a zip without a password.")
        if info.compress_type not in PIECES:  # zipfile unpacks others without a limit
            raise UserError(
                f"{member.name} in {what} is compressed by an unsupported method; make a zip with `deflate`."
            )
        try:
            with archive.open(info) as opened:
                while piece := opened.read(PIECES[info.compress_type]):
                    yield piece
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            EOFError,
            NotImplementedError,
            ValueError,
            OSError,
        ) as error:
            raise UserError(f"{member.name} in {what} cannot be unpacked ({error}); fetch the archive again.") from None

    infos = archive.infolist()
    # Windows PowerShell 5 separates folders by backslashes, against the standard.
    named = ((info.filename.replace("\\", "/"), place, info) for place, info in enumerate(infos))
    members = (
        _Member(name, info.file_size, info.compress_size, place) for name, place, info in named if name[-1:] != "/"
    )
    return _packed(members, pieces, what)


def _tar(file: IO[bytes], what: str) -> Files:
    def pieces(member: _Member) -> Iterator[bytes]:
        end = member.place + member.size
        for start in range(member.place, end, PIECE):
            file.seek(start)
            yield file.read(min(PIECE, end - start))

    return _packed(_tar_members(file, what), pieces, what)


def _packed(found: Iterable[_Member], pieces: Callable[[_Member], Iterator[bytes]], what: str) -> Files:
    """The files of an archive; `pieces` yields the content of one."""
    members = list(islice(found, MOST_MEMBERS + 1))
    if len(members) > MOST_MEMBERS:
        raise UserError(f"{what} has more than {MOST_MEMBERS} files, too many for an image dataset; fetch it again.")
    by_name = {member.name: member for member in reversed(members)}
    repeated = [m for m in members if m is not by_name[m.name] and not IGNORED.search(m.name)]
    few = sum(member.size for member in repeated) <= HARMLESS  # as each of them may be a bomb

    def same(one: _Member, other: _Member) -> bool:
        return few and one.size == other.size and _sha256(pieces(one)) == _sha256(pieces(other))

    if differing := {member.name: None for member in repeated if not same(member, by_name[member.name])}:
        raise UserError(f"{what} has two files named {listed(differing)}; remove one of them.")

    def read(name: str) -> bytes:
        _check_size(f"{name} in {what}", by_name[name].size)
        return b"".join(pieces(by_name[name]))

    @contextmanager
    def inside(name: str) -> Iterator[Files]:
        inner = f"{name} in {what}"
        with _copy(pieces(by_name[name]), inner, by_name[name].packed) as copy, _archive(copy, inner) as files:
            yield files

    return Files(_wanted(by_name, what), read, inside)


def _sha256(pieces: Iterable[bytes]) -> bytes:
    result = hashlib.sha256()
    for piece in pieces:
        result.update(piece)
    return result.digest()


def _is_tar(head: bytes) -> bool:
    """Whether these 512 bytes are a tar header. The oldest tars can only be recognised by its checksum."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _tar_members(file: IO[bytes], what: str) -> Iterator[_Member]:
    """The regular files of a tar, from its start to its end.

    `tarfile` reads single headers here, but not the archive: it reserves whatever size a header names, follows extended
    headers by recursion, and takes a damaged header for the end, which would lose images silently.
    """
    name, attributes = "", dict[str, str]()  # from the extended headers before a member
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    while True:
        position = file.tell()
        block = file.read(tarfile.BLOCKSIZE)
        try:
            if len(block) == tarfile.BLOCKSIZE and not any(block) and not (name or attributes):
                _check_end(file.read(MOST_PADDING + 1), position, what)
                return
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            size = int(attributes.get("size", header.size))
            if not 0 <= size <= end:
                raise ValueError(f"a file of {size} bytes")
            if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
                content = file.read(min(size, LARGEST_HEADER + 1))
                if len(content) > LARGEST_HEADER:
                    raise ValueError("too large a header")
                if header.type == tarfile.XHDTYPE:
                    attributes = _attributes(content)
                else:
                    name = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
            elif header.type not in (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):
                if header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse.") for key in attributes):
                    raise ValueError("a sparse file")
                if header.isreg():
                    yield _Member(attributes.get("path", name or header.name), size, size, position + len(block))
                elif header.type in tarfile.SUPPORTED_TYPES:
                    size = 0  # links, folders and devices have no content, whatever size they claim
                name, attributes = "", {}
        except (tarfile.HeaderError, ValueError) as error:
            raise UserError(f"{what} is cut off or damaged at byte {position} ({error}); fetch it again.") from None
        file.seek(position + len(block) + -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)


def _check_end(rest: bytes, position: int, what: str) -> None:
    """Raises UserError unless a tar may end with the empty block at `position`, given what follows it.

    Two empty blocks mark the end. A single one is accepted at the end of the file, where nothing can follow it.
    """
    if any(rest):
        raise UserError(
            f"{what} is damaged at byte {position}, or several archives were joined there; fetch it again, or pack all "
            "files into one archive."
        )
    if len(rest) > MOST_PADDING:
        raise UserError(
            f"{what} has only zeros from byte {position} on, more than end an archive, as if it was written in part; "
            "fetch it again, or pack its files anew."
        )


def _attributes(header: bytes) -> dict[str, str]:
    """The records `<length> <key>=<value>` of an extended header (POSIX.1-2001, pax)."""
    attributes = {}
    start = 0
    while start < len(header):
        digits = header[start : start + 20].partition(b" ")[0]
        end = start + int(digits)
        if end <= start + len(digits):
            raise ValueError("an extended header without a length")
        key, _, value = header[start + len(digits) + 1 : end - 1].partition(b"=")
        attributes[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        start = end
    return attributes


def _check_size(what: str, size: int) -> None:
    if size > LARGEST_MEMBER:
        raise UserError(
            f"{what} is {size / 2**20:.0f} MiB, but at most {LARGEST_MEMBER // 2**20} are read; remove or shrink it."
        )


def _wanted(names: Iterable[str], what: str) -> list[str]:
    """The names in natural order, without ignored ones; raises UserError for an invalid one."""
    wanted = [name for name in names if not IGNORED.search(name)]
    for name in wanted:
        if NO_NAME.search(name):
            raise UserError(f"{what} has a file named {name[:80]!a}, which is not readable text; rename it.")
    return sorted(wanted, key=natural)


def listed(names: Collection[str], joint: str = ", ", most: int = 8) -> str:
    """The names for a sentence; of more than `most`, the first ones and the number of the others."""
    others = len(names) - most
    return joint.join(islice(names, most)) + (f" and {others} other(s)" if others > 0 else "")


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which `slice-9` comes before `slice-10`."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), part) if position % 2 else (0, part) for position, part in enumerate(parts)]


def digest(path: Path) -> str:
    """SHA-256 of a file; for a folder, SHA-256 over the sorted names of its files and the SHA-256 of each."""
    if not _is_folder(path):
        return _digest(path)
    with open_files(path) as files:
        lines = [f"{_digest(path / name)}  {name}\n" for name in sorted(files.names)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _digest(file: Path) -> str:
    with _opened(file) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

"""Downloading one file over HTTP so that it is either complete and verified, or not there.

Until then it is called `<file>.part`, and `<file>.part.json` records which version of the file it is a part of. An
interrupted download resumes if the server still has that version, and otherwise starts over.
"""

import fcntl
import hashlib
import http.client
import json
import re
import shutil
import stat
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from segunc.runtime.errors import UserError, printable
from segunc.runtime.files import write_atomically
from segunc.runtime.progress import Progress

TIMEOUT = 60
"""Seconds without data after which a connection counts as lost."""
ATTEMPTS = 6
"""Attempts in a row that may fail without progress; 1, 2, 4, ... seconds lie between them."""
LONGEST_PAUSE = 60
"""Most seconds to wait when a server asks for it."""
PIECE = 2**20
"""Bytes that are read at a time."""
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses after which a retry may succeed."""


class GoneError(Exception):
    """The server refuses the file, and a retry will not help; the message contains the reason."""


class _TransientError(Exception):
    """The download failed, but a retry may succeed; `pause` is what the server asks for, in seconds."""

    def __init__(self, reason: str, pause: str | None = None) -> None:
        super().__init__(reason)
        self.pause = int(pause) if pause and pause.isdecimal() else None


def download(url: str, path: Path, sha256: str | None = None) -> None:
    """Downloads `url` to `path`; if the file exists, it is only checked.

    `sha256` is the published digest. Without one, the digest is recorded in `<path>.sha256` when the file is first seen
    (sha256sum --check reads it), and must be the same from then on.

    Raises UserError if the file has another digest, or if it cannot be downloaded now; then the next call resumes.
    Raises GoneError if the server refuses it.
    """
    if not path.exists():
        part = _beside(path, ".part")
        with _alone(part) as file:
            if not path.exists():
                _complete(url, path, file)
                _check(part, path, url, sha256)
                part.rename(path)
                _beside(path, ".part.json").unlink(missing_ok=True)
                return
    _check(path, path, url, sha256)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


@contextmanager
def _alone(part: Path) -> Iterator[IO[bytes]]:
    """The partial file, open for appending; locked, so that only one program writes it.

    A link in its place is removed and not followed, since it would be somebody else's file; a pipe is removed, too.
    """
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        for own in (part, _beside(part, ".json")):
            _remove_unless_own(own)
        file = part.open("ab")
    except OSError as error:
        raise UserError(f"{part} cannot be written ({error.strerror}); choose another folder.") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{part} is being fetched by another program; wait for it.") from None
        except OSError:
            pass  # a file system without locks
        try:
            yield file
        finally:
            if part.exists() and not part.stat().st_size:
                part.unlink()


def _remove_unless_own(path: Path) -> None:
    """Removes what is at the path unless it is a regular file that has no other name."""
    with suppress(FileNotFoundError):
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            return
        path.unlink()


def _complete(url: str, path: Path, file: IO[bytes]) -> None:
    """Downloads what is missing of the partial file, with retries."""
    fruitless = 0
    progress: Progress | None = None
    while True:
        before = file.tell()
        try:
            for size in _stream(url, path, file):
                progress = progress or Progress(f"fetch {path.name}", size and size // PIECE)
                progress.update(file.tell() // PIECE, "MiB")
            return
        except _TransientError as error:
            fruitless = 0 if file.tell() > before else fruitless + 1
            if fruitless == ATTEMPTS:
                raise UserError(
                    f"{url} cannot be fetched now ({error}); try again later, {path.name}.part keeps what has arrived."
                ) from None
            pause = min(error.pause, LONGEST_PAUSE) if error.pause is not None else 2 ** max(fruitless - 1, 0)
            print(f"fetch {path.name}: {printable(str(error))}; retrying in {pause} s", file=sys.stderr, flush=True)
            time.sleep(pause)


def _stream(url: str, path: Path, file: IO[bytes]) -> Iterator[int | None]:
    """Appends what is missing; yields the size of the whole file after each piece, None if unknown."""
    state = _beside(path, ".part.json")
    known = _state(state)
    if not known:
        _empty(file)
    start = file.tell()
    if start and start == known["size"]:
        return
    headers = {"User-Agent": "segunc", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": known["version"]}
    with _answer(urllib.request.Request(url, headers=headers), state) as response:  # noqa: S310
        if response.status == 206 and not _continues(response.headers, start, known):
            state.unlink(missing_ok=True)
            raise _TransientError("the server sent another range than requested")
        if (
            response.status != 206
        ):  # no range was requested, the server does not support ranges, or it has another version now
            start = 0
            _empty(file)
        length = response.headers.get("Content-Length")
        size = start + int(length) if length and length.isdecimal() else None
        if response.status != 206:
            _remember(state, response.headers, size)
        if size and size - start > shutil.disk_usage(path.parent).free:
            raise UserError(f"{path.parent} has too little room for the {size} bytes of {path.name}; free some space.")
        while piece := _read(response):
            try:
                file.write(piece)
                file.flush()
            except OSError as error:
                raise UserError(f"{path.name}.part cannot be written ({error.strerror}); free some space.") from None
            yield size
    if size is not None and file.tell() < size:
        raise _TransientError(f"the connection ended after {file.tell()} of {size} bytes")
    if file.tell() == 0:
        state.unlink(missing_ok=True)
        raise GoneError("the server returned an empty file")


def _state(path: Path) -> dict[str, Any]:
    """What `_remember` wrote: the version and the size (None if unknown) of the file; empty if that is not known."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        name, size = state["version"], state["size"]
        known = name.isascii() and name.isprintable() and (size is None or size > 0)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    return state if known else {}


def _empty(file: IO[bytes]) -> None:
    file.truncate(0)
    file.seek(0)


def _version(headers: http.client.HTTPMessage) -> str | None:
    """The server's identifier of the version of the file, if it is exact (W/ means weak)."""
    name = headers.get("ETag") or headers.get("Last-Modified")
    return None if name is None or name.startswith("W/") else name


def _remember(state: Path, headers: http.client.HTTPMessage, size: int | None) -> None:
    """Records the version that is being downloaded. Without an exact version, no download can be resumed."""
    state.unlink(missing_ok=True)
    if name := _version(headers):
        with write_atomically(state) as beside:
            beside.write_text(json.dumps({"version": name, "size": size}))


def _continues(headers: http.client.HTTPMessage, start: int, known: Mapping[str, Any]) -> bool:
    """Whether a range starts where requested, in the same version; some servers do not check that themselves."""
    begins = (headers.get("Content-Range") or "").startswith(f"bytes {start}-")
    return start > 0 and begins and _version(headers) in (None, known["version"])


@contextmanager
def _answer(request: urllib.request.Request, state: Path) -> Iterator[http.client.HTTPResponse]:
    """The server's response, if its body may be the file."""
    try:
        response = OPENER.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            reason = f"{error.code} {error.reason}"
            if error.code == 416:  # the file is now shorter than the partial one
                state.unlink(missing_ok=True)
                raise _TransientError(reason) from None
            if error.code in TRANSIENT:
                raise _TransientError(reason, error.headers.get("Retry-After")) from None
            raise GoneError(reason) from None
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(_words(error)) from None
    with response:
        if response.headers.get_content_type() == "text/html":
            raise GoneError("the server returned a web page")
        yield response


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(PIECE)
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(_words(error)) from None


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https, and from http to http: never to other schemes, and never from https to http."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if newurl.partition(":")[0].lower() not in ("https", req.type):
            raise GoneError(f"it redirects to {newurl}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


OPENER = urllib.request.build_opener(_Redirects)


def _check(file: Path, path: Path, url: str, sha256: str | None) -> None:
    """Compares the digest of `file` (`path` or its partial file) with the expected one; removes a wrong partial one."""
    record = _beside(path, ".sha256")
    found = _digest(file, path.name)
    expected = sha256 or _recorded(record)
    if expected is None:
        with write_atomically(record) as beside:
            beside.write_text(f"# {file.stat().st_size} bytes from {url}\n{found}  {path.name}\n")
    elif found != expected:
        source = "published" if sha256 else f"in {record.name}"
        if file == path:
            raise UserError(
                f"{path} has the SHA-256 {found}, not {expected} as {source}; remove it and fetch it again."
            )
        file.unlink()
        _beside(path, ".part.json").unlink(missing_ok=True)
        raise UserError(f"{url} has the SHA-256 {found}, not {expected} as {source}; it was not kept, try again later.")


def _recorded(record: Path) -> str | None:
    if not record.exists():
        return None
    if not record.is_file():
        raise UserError(f"{record} is not a regular file; remove it.")
    try:
        lines = record.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    digests = [line.split()[0] for line in lines if line.strip() and line[0] != "#"]
    if len(digests) != 1 or not re.fullmatch("[0-9a-f]{64}", digests[0]):
        raise UserError(f"{record} does not contain exactly one SHA-256; remove it.")
    return digests[0]


def _digest(file: Path, name: str) -> str:
    if not file.is_file():
        raise UserError(f"{file} is not a regular file; remove it and fetch it again.")
    digest = hashlib.sha256()
    progress = Progress(f"check {name}", file.stat().st_size // PIECE)
    with file.open("rb") as opened:
        while piece := opened.read(PIECE):
            digest.update(piece)
            progress.update(opened.tell() // PIECE, "MiB")
    return digest.hexdigest()

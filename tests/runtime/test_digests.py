"""Digests of files: what counts as a difference, and when a remembered digest still counts."""

import gzip
import hashlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from segunc.runtime import digests
from segunc.runtime.digests import Memory, content, difference

TABLE = b"id,score\na,1\nb,2\nc,3\n"
PACKED = gzip.compress(TABLE, mtime=0)


def written(path: Path, data: bytes) -> digests.Content:
    path.write_bytes(data)
    return content(path)


def flip(path: Path, at: int) -> None:
    """Flips a bit of a byte and puts the modification time back, as `touch -r` does."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


@pytest.mark.parametrize(
    ("name", "data", "rows"),
    [
        ("images.csv", TABLE, 3),
        ("images.csv", TABLE.splitlines()[0] + b"\n", 0),
        ("images.csv", b"", 0),
        ("pixels.csv.gz", gzip.compress(TABLE * 50_000), 4 * 50_000 - 1),
        ("weights.pt", TABLE, 0),
        ("summary.md", TABLE, 0),
    ],
)
def test_content_of_a_file(tmp_path: Path, name: str, data: bytes, rows: int) -> None:
    expected = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "rows": rows}
    assert written(tmp_path / name, data) == expected


@pytest.mark.parametrize(
    ("name", "before", "after", "words"),
    [
        ("a.csv", TABLE, TABLE[: TABLE.index(b"c,")], "it has 2 rows instead of 3"),
        ("a.csv", TABLE, TABLE + b"d,4\n", "it has 4 rows instead of 3"),
        ("a.csv", TABLE, TABLE.replace(b"b,2", b"b,22"), "it has 22 bytes instead of 21"),
        ("a.csv", TABLE, b"", "it has 0 rows instead of 3"),
        ("a.csv", TABLE, TABLE.replace(b"2", b"7"), "its content differs from what was written"),
        ("a.csv.gz", PACKED, gzip.compress(TABLE[:13]), "it has 1 rows instead of 3"),
        ("a.csv.gz", PACKED, b"", "it has 0 rows instead of 3"),
        ("a.csv.gz", PACKED, PACKED[:-9], f"it has {len(PACKED) - 9} bytes instead of {len(PACKED)}"),
        ("a.csv.gz", PACKED, PACKED[:-1] + b"x", "its content differs from what was written"),
        ("a.pt", b"weights", b"weight", "it has 6 bytes instead of 7"),
        ("a.pt", b"weights", b"weighty", "its content differs from what was written"),
        ("a.pt", b"", b"weights", "it has 7 bytes instead of 0"),
    ],
)
def test_differences_in_words(tmp_path: Path, name: str, before: bytes, after: bytes, words: str) -> None:
    path = tmp_path / name
    expected = written(path, before)
    assert difference(path, expected) is None
    path.write_bytes(after)
    assert difference(path, expected) == words


@pytest.mark.parametrize("data", [TABLE, gzip.compress(TABLE * 20)], ids=["plain", "compressed"])
def test_no_flipped_bit_passes_or_stops_the_program(tmp_path: Path, data: bytes) -> None:
    """Each byte, so that headers, the compressed stream and check sums are all hit."""
    path = tmp_path / ("a.csv" if data is TABLE else "a.csv.gz")
    expected = written(path, data)
    for at in range(len(data)):
        flip(path, at)
        assert difference(path, expected)
        flip(path, at)
    assert difference(path, expected) is None


def test_what_cannot_be_read(tmp_path: Path) -> None:
    expected = written(tmp_path / "a.csv", TABLE)
    with pytest.raises(FileNotFoundError):
        difference(tmp_path / "b.csv", expected)
    (tmp_path / "dangling.csv").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        difference(tmp_path / "dangling.csv", expected)


def test_what_is_not_a_file_is_not_waited_for(tmp_path: Path) -> None:
    signal.alarm(10)
    expected = written(tmp_path / "a.csv", TABLE)
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "device.csv").symlink_to("/dev/zero")
    for name in ("pipe.csv", "folder.csv", "device.csv"):
        assert difference(tmp_path / name, expected) == "it is not a regular file"
    signal.alarm(0)


class Remembered:
    """A file that a memory has seen."""

    def __init__(self, folder: Path) -> None:
        self.memory, self.path = folder / "memory/outputs.json", folder / "weights.pt"
        self.expected = written(self.path, b"weights")
        assert self.differs() is None

    def differs(self, expected: digests.Content | None = None) -> str | None:
        """What the memory says in a new run."""
        memory = Memory(self.memory)
        said = memory.differs(str(self.path), self.path.stat(), expected or self.expected)
        memory.save()
        return said


def read_again(path: Path) -> None:
    """Replaces a file by a copy."""
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    copy.replace(path)


def test_a_file_that_nobody_touched_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Remembered(tmp_path)
    monkeypatch.setattr(digests, "sha256", lambda path: pytest.fail("it was read"))
    assert file.differs() is None


@pytest.mark.parametrize(
    "touch", [os.utime, lambda path: path.chmod(0o600), read_again], ids=["mtime", "ctime", "inode"]
)
def test_a_file_that_was_touched_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, touch: Callable[[Path], None]
) -> None:
    file, read = Remembered(tmp_path), []
    touch(file.path)
    sha256 = digests.sha256
    monkeypatch.setattr(digests, "sha256", lambda path: read.append(path) or sha256(path))
    assert file.differs() is None and read == [file.path]
    assert file.differs() is None and read == [file.path], "once"


@pytest.mark.parametrize("field", ["st_mtime_ns", "st_ctime_ns", "st_ino"])
def test_each_part_of_the_status_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    file = Remembered(tmp_path)
    names = ("st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")
    status = {name: getattr(file.path.stat(), name) for name in names}
    monkeypatch.setattr(digests, "difference", lambda path, expected: "it was read")
    memory = Memory(file.memory)
    assert memory.differs(str(file.path), SimpleNamespace(**status), file.expected) is None  # type: ignore[arg-type]
    other = SimpleNamespace(**{**status, field: 1})
    assert memory.differs(str(file.path), other, file.expected) == "it was read"  # type: ignore[arg-type]


def test_a_flipped_bit_with_the_old_time_is_noticed_each_time(tmp_path: Path) -> None:
    file = Remembered(tmp_path)
    flip(file.path, 3)
    for _ in range(2):
        assert file.differs() == "its content differs from what was written"
    flip(file.path, 3)
    assert file.differs() is None


def test_a_digest_is_that_of_one_record(tmp_path: Path) -> None:
    """The file is as it was, but its record is another one."""
    file = Remembered(tmp_path)
    other = {**file.expected, "sha256": "0" * 64}
    assert file.differs(other) == "its content differs from what was written"  # type: ignore[arg-type]
    assert file.differs({**file.expected, "bytes": 6}) == "it has 7 bytes instead of 6"  # type: ignore[arg-type,typeddict-item]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1]", b"null", b"\xff", b'{"weights.pt": 3}', b'{"weights.pt": [7, 1, 2, 3, "x"]}']
)
def test_a_memory_that_cannot_be_read_costs_time_alone(tmp_path: Path, text: bytes) -> None:
    file = Remembered(tmp_path)
    file.memory.write_bytes(text)
    flip(file.path, 0)
    assert file.differs() == "its content differs from what was written"
    flip(file.path, 0)
    assert file.differs() is None
    assert list(json.loads(file.memory.read_text())) == [str(file.path)] or b"weights" in text


def test_a_memory_that_cannot_be_written_costs_time_alone(tmp_path: Path) -> None:
    (tmp_path / "memory").write_text("a file in place of the folder")
    file = Remembered(tmp_path)
    flip(file.path, 0)
    assert file.differs() == "its content differs from what was written"


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its status is that from before, so what was read does not count for what it is now."""
    file = Remembered(tmp_path)
    os.utime(file.path)
    sha256 = digests.sha256

    def and_change(path: Path) -> str:
        found = sha256(path)
        flip(path, 0)
        return found

    monkeypatch.setattr(digests, "sha256", and_change)
    assert file.differs() is None
    monkeypatch.setattr(digests, "sha256", sha256)
    assert file.differs() == "its content differs from what was written"

import zipfile

import numpy as np
import pytest
from conftest import zipped

from segunc.data import archive
from segunc.data.archive import digest, natural, open_files
from segunc.errors import UserError


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "release"
    for name in ("b/slice-10.png", "b/slice-9.png", "a.png", ".DS_Store", "b/._a.png", "__MACOSX/a.png", "LICENSE.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def test_folder_and_zip_look_the_same(folder):
    with open_files(folder) as files:
        assert files.names == ["a.png", "b/slice-9.png", "b/slice-10.png"]
        assert files.read("b/slice-9.png") == b"b/slice-9.png"
    with open_files(zipped(folder)) as files:
        assert files.names == ["release/a.png", "release/b/slice-9.png", "release/b/slice-10.png"]
        assert files.read("release/b/slice-9.png") == b"b/slice-9.png"


def test_natural_order():
    assert sorted(["s-10", "s-9", "s", "10", "9a", "s-9b"], key=natural) == ["9a", "10", "s", "s-9", "s-9b", "s-10"]


def test_missing_path(tmp_path):
    with (
        pytest.raises(UserError, match=r"nowhere.zip cannot be opened \(No such file"),
        open_files(tmp_path / "nowhere.zip"),
    ):
        pass


@pytest.mark.parametrize("keep", [0, 10, 0.5, -1])
def test_truncated_zip(folder, keep):
    path = zipped(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
    with (
        pytest.raises(UserError, match=r"release.zip is neither a folder nor a complete zip archive"),
        open_files(path),
    ):
        pass


def test_damaged_member(folder):
    path = zipped(folder)
    with zipfile.ZipFile(path) as opened:
        info = opened.getinfo("release/a.png")
    content = bytearray(path.read_bytes())
    content[info.header_offset + 30 + len("release/a.png") + 3] ^= 0xFF
    path.write_bytes(content)
    with (
        open_files(path) as files,
        pytest.raises(UserError, match=r"release/a.png in .*release.zip cannot be unpacked"),
    ):
        files.read("release/a.png")


def test_encrypted_member(folder):
    path = zipped(folder)
    content = bytearray(path.read_bytes())
    directory = content.find(b"PK\x01\x02")
    while directory >= 0:
        content[directory + 8] |= 1
        directory = content.find(b"PK\x01\x02", directory + 4)
    path.write_bytes(content)
    with open_files(path) as files, pytest.raises(UserError, match=r"release/a.png in .*release.zip is encrypted"):
        files.read("release/a.png")


def test_too_large_a_member(folder, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST_MEMBER", 2**20)
    (folder / "bomb.png").write_bytes(bytes(3 * 2**20))
    with (
        open_files(zipped(folder)) as files,
        pytest.raises(UserError, match=r"bomb.png in .* has 3 MiB, but at most 1"),
    ):
        files.read("release/bomb.png")
    with open_files(folder) as files, pytest.raises(UserError, match=r"release/bomb.png has 3 MiB, but at most 1"):
        files.read("bomb.png")


def test_a_broken_link(folder):
    (folder / "c.png").symlink_to("gone.png")
    with open_files(folder) as files, pytest.raises(UserError, match=r"c.png cannot be read \(No such file"):
        files.read("c.png")


def test_digest_of_a_folder_is_of_names_and_contents(folder):
    before = digest(folder)
    (folder / ".DS_Store").write_bytes(b"looked at")
    assert digest(folder) == before
    (folder / "a.png").write_bytes(b"changed")
    changed = digest(folder)
    assert changed != before
    (folder / "a.png").rename(folder / "c.png")
    assert digest(folder) not in (before, changed)


def test_damaged_zips_never_end_in_a_traceback(tmp_path):
    """Single bytes changed at seeded places: each file is read in full or refused in a sentence."""
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.txt", b"some text " * 20)
        archive.writestr("a/c.txt", b"more text " * 20)
    content, rng = whole.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(1500):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] = rng.integers(256)
        (tmp_path / "damaged.zip").write_bytes(damaged)
        try:
            with open_files(tmp_path / "damaged.zip") as files:
                for name in files.names:
                    files.read(name)
        except UserError:
            refused += 1
    assert refused > 300

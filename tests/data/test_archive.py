import gzip
import io
import os
import re
import shutil
import struct
import subprocess
import tarfile
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import hypothesis
import pytest
from helpers.raw_data import tarred, zipped
from hypothesis import given
from hypothesis import strategies as st

from segunc.data import archive
from segunc.data.archive import digest, natural, open_files
from segunc.runtime.errors import UserError


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "release"
    for name in ("b/slice-10.png", "b/slice-9.png", "a.png", ".DS_Store", "b/._a.png", "__MACOSX/a.png", "LICENSE.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """A temporary folder of the test's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def tar_of(path: Path, *members: tuple[tarfile.TarInfo | str, bytes], **options) -> Path:
    with tarfile.open(path, "w", **options) as opened:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = info.size or len(content)
            opened.addfile(info, io.BytesIO(content))
    return path


def contents(path: Path) -> dict[str, bytes]:
    with open_files(path) as files:
        return {name: files.read(name) for name in files.names}


def refused(path: Path, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        contents(path)
    assert "\n" not in str(error.value)


PACKERS = pytest.mark.parametrize(
    "pack",
    [zipped, lambda folder: tarred(folder, ".tar"), lambda folder: tarred(folder, ".tgz"), tarred],
    ids=["zip", "tar", "tgz", "tar.gz"],
)


def test_a_folder(folder):
    with open_files(folder) as files:
        assert files.names == ["a.png", "b/slice-9.png", "b/slice-10.png"]
        assert files.read("b/slice-9.png") == b"b/slice-9.png"


@PACKERS
def test_an_archive_looks_like_a_folder_whatever_its_suffix(folder, pack):
    path = pack(folder)
    for suffix in (path.suffix, ".zip", ""):
        path = path.rename(path.with_name(f"packed{suffix}"))
        with open_files(path) as files:
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
        pytest.raises(UserError, match=r"bomb.png in .* is 3 MiB, but at most 1"),
    ):
        files.read("release/bomb.png")
    with open_files(folder) as files, pytest.raises(UserError, match=r"release/bomb.png is 3 MiB, but at most 1"):
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


class TestLinkedFolders:
    def test_are_followed(self, folder, tmp_path):
        before, digest_before = contents(folder), digest(folder)
        (folder / "b").rename(tmp_path / "disk")
        (folder / "b").symlink_to(tmp_path / "disk", target_is_directory=True)
        assert contents(folder) == before and digest(folder) == digest_before
        (tmp_path / "disk" / "slice-9.png").write_bytes(b"changed")
        assert digest(folder) != digest_before

    def test_loops_end(self, folder, tmp_path):
        """Links to the folder itself, to the one above, and two folders elsewhere that link to each other."""
        before = contents(folder)
        (folder / "itself").symlink_to(".", target_is_directory=True)
        (folder / "b" / "above").symlink_to("..", target_is_directory=True)
        for name, other in (("one", "two"), ("two", "one")):
            (tmp_path / name).mkdir()
            (tmp_path / name / f"{name}.png").write_bytes(name.encode())
            (tmp_path / name / "other").symlink_to(tmp_path / other, target_is_directory=True)
        (folder / "one").symlink_to(tmp_path / "one", target_is_directory=True)
        assert contents(folder) == {**before, "one/one.png": b"one", "one/other/two.png": b"two"}
        assert digest(folder)

    def test_a_folder_may_be_linked_twice(self, folder):
        (folder / "c").symlink_to("b", target_is_directory=True)
        assert sum(name.endswith("slice-9.png") for name in contents(folder)) == 2


def forbidden(monkeypatch, folder: Path) -> None:
    """As the system answers for a folder that may not be read; root may read everything."""
    listed = os.scandir

    def refuse(path="."):
        if os.fspath(path) == str(folder):
            raise PermissionError(13, os.strerror(13), str(folder))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)


def test_a_folder_that_may_not_be_read(folder, monkeypatch):
    forbidden(monkeypatch, folder / "b")
    sentence = r"^\S*/release/b cannot be read \(Permission denied\); make it readable or remove it.$"
    refused(folder, sentence)
    with pytest.raises(UserError, match=sentence):
        digest(folder)


@pytest.mark.parametrize(
    "name",
    ["lost+found", "System Volume Information", ".Trash-1000", ".Spotlight-V100", "@eaDir", "#recycle", "$RECYCLE.BIN"],
)
def test_forbidden_folders_of_the_operating_system_do_not_matter(folder, monkeypatch, name):
    before = contents(folder)
    (folder / name).mkdir()
    (folder / name / "a.png").write_bytes(b"deleted")
    assert contents(folder) == before
    forbidden(monkeypatch, folder / name)
    assert contents(folder) == before


def test_a_path_in_an_inaccessible_folder(tmp_path, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, os.strerror(13))

    for method in ("stat", "is_dir", "open"):
        monkeypatch.setattr(Path, method, refuse)
    refused(tmp_path / "data", r"data cannot be opened \(Permission denied\); put the raw data there.$")
    with pytest.raises(UserError, match=r"data cannot be read \(Permission denied\); replace it.$"):
        digest(tmp_path / "data")


class TestTar:
    @pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    def test_formats_long_names_and_unicode(self, tmp_path, format):
        names = ["a b/Bücher 肺.png", "c" * 90 + "/" + "d" * 90]
        names += [] if format == tarfile.USTAR_FORMAT else ["e" * 600 + "/" + "ü" * 200]
        path = tar_of(tmp_path / "a.tar", *((name, name.encode()) for name in names), format=format)
        assert contents(path) == {name: name.encode() for name in names}

    def test_a_tar_without_a_magic_number(self, tmp_path):
        """Version 7 tars have a checksum only."""
        header = bytearray(tarfile.TarInfo("a.png").tobuf(tarfile.USTAR_FORMAT))
        header[124:136] = b"%011o\0" % 3
        header[257:512] = bytes(255)
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        (tmp_path / "old.tar").write_bytes(header + b"abc".ljust(512, b"\0") + bytes(1024))
        assert contents(tmp_path / "old.tar") == {"a.png": b"abc"}

    def test_a_zip_at_the_end_of_a_tar_does_not_make_it_a_zip(self, folder, tmp_path):
        zip_ = zipped(folder)
        path = tar_of(tmp_path / "a.tar", ("inside.zip", zip_.read_bytes()))
        assert contents(path) == {"inside.zip": zip_.read_bytes()}

    @pytest.mark.parametrize(
        "type", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
    )
    def test_links_and_devices_are_left_out(self, tmp_path, type):
        secret = tmp_path / "secret.png"
        secret.write_bytes(b"secret")
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = type, str(secret)
        path = tar_of(tmp_path / "a.tar", (link, b""), ("folder/link.png", b"mine"), ("link.png/below.png", b"below"))
        assert contents(path) == {"folder/link.png": b"mine", "link.png/below.png": b"below"}
        assert sorted(file.name for file in tmp_path.iterdir()) == ["a.tar", "secret.png"]

    @pytest.mark.parametrize("kind", ["zip", "tar"])
    def test_names_outside_the_archive_do_no_harm(self, tmp_path, temporary, kind):
        names = ["../../up.png", str(tmp_path / "absolute.png"), "/etc/passwd", "a/../../b.png", "C:\\c.png"]
        path = tmp_path / "inner" / "archive"
        path.parent.mkdir()
        if kind == "tar":
            tar_of(path, *((name, b"new") for name in names))
        else:
            with zipfile.ZipFile(path, "w") as opened:
                for name in names:
                    opened.writestr(name, b"new")
        before = sorted(tmp_path.rglob("*"))
        read = contents(path)
        assert set(read.values()) == {b"new"} and len(read) == len(names)
        assert sorted(tmp_path.rglob("*")) == before

    def test_cut_off(self, folder):
        path = tarred(folder, ".tar")
        whole = path.read_bytes()
        with tarfile.open(path) as opened:
            ends = [member.offset for member in opened][1:]
        for keep in (*ends, ends[-1] + 100, ends[-1] + 512, ends[-1] + 514):
            path.write_bytes(whole[:keep])
            refused(path, r"release.tar is cut off or damaged at byte \d+ \(.*\); fetch it again.$")

    def test_a_damaged_header_loses_no_file_silently(self, folder):
        path = tarred(folder, ".tar")
        with tarfile.open(path) as opened:
            second = opened.getmembers()[1].offset
        damaged = bytearray(path.read_bytes())
        damaged[second + 5] ^= 1
        path.write_bytes(damaged)
        refused(path, rf"release.tar is cut off or damaged at byte {second} \(bad checksum\)")

    @pytest.fixture
    def eight(self, tmp_path) -> Path:
        """Eight files, each in a block after its header."""
        return tar_of(tmp_path / "a.tar", *((f"{k}.png", b"%d" % k * 300) for k in range(8)))

    @pytest.mark.parametrize("member", [1, 3, 5])
    @pytest.mark.parametrize("blocks", [1, 2, 4])
    def test_empty_blocks_in_the_middle_are_no_end(self, eight, member, blocks):
        damaged = bytearray(eight.read_bytes())
        damaged[member * 1024 : member * 1024 + blocks * 512] = bytes(blocks * 512)
        eight.write_bytes(damaged)
        refused(eight, rf"a.tar is damaged at byte {member * 1024}, or several archives were joined there; fetch it")

    @pytest.mark.parametrize("written", [0.2, 0.5, 0.8])
    def test_reserved_in_full_but_written_in_part(self, tmp_path, written):
        path = tar_of(tmp_path / "a.tar", *((f"{k}.png", b"%d" % k * 30000) for k in range(8)))
        whole = path.read_bytes()
        end = int(len(whole) * written)
        path.write_bytes(whole[:end] + bytes(len(whole) - end))
        refused(path, r"a.tar has only zeros from byte \d+ on, more than end an archive, as if it was written in part;")

    @pytest.mark.parametrize("pack", [bytes, gzip.compress])
    @pytest.mark.parametrize("between", [0, 512, 10**5])
    def test_joined_archives(self, eight, tmp_path, pack, between):
        other = tar_of(tmp_path / "b.tar", ("9.png", b"9"))
        eight.write_bytes(pack(eight.read_bytes() + bytes(between)) + pack(other.read_bytes()))
        refused(eight, "a.tar (is damaged at byte 8192, or several archives|has only zeros from byte 8192 on)")

    @pytest.mark.parametrize("end", [512, 1024, 5120, 10240 + 512])
    def test_ways_to_end(self, eight, end):
        """One empty block, two, and two with a record filled up."""
        expected = contents(eight)
        eight.write_bytes(eight.read_bytes()[:8192] + bytes(end))
        assert contents(eight) == expected
        for suffix in (b"\0" * 511 + b"x", b"x"):
            eight.write_bytes(eight.read_bytes()[: 8192 + end] + suffix)
            refused(eight, "a.tar (is damaged at byte 8192, or|has only zeros from byte 8192 on)")

    @pytest.mark.parametrize("end", [0, 511])
    def test_without_an_end_it_is_cut_off(self, eight, end):
        eight.write_bytes(eight.read_bytes()[: 8192 + end])
        refused(eight, r"a.tar is cut off or damaged at byte 8192 \(")

    def test_a_name_without_a_file_before_the_end(self, tmp_path):
        path = tar_of(tmp_path / "a.tar", ("n" * 200, b""), format=tarfile.GNU_FORMAT)
        path.write_bytes(path.read_bytes()[:1024] + bytes(1024))
        refused(path, r"a.tar is cut off or damaged at byte 1024 \(")

    @pytest.mark.skipif(shutil.which("tar") is None, reason="no tar")
    @pytest.mark.parametrize("options", ["-c", "-cz", "-c --format=v7", "-c --format=pax", "-c -b 1"])
    def test_what_tar_writes(self, folder, options):
        expected = {f"release/{name}": content for name, content in contents(folder).items()}
        command = ["tar", *options.split(), "-f", "a.tar", "release"]
        subprocess.run(command, cwd=folder.parent, check=True)
        assert contents(folder.parent / "a.tar") == expected

    def test_invalid_sizes(self, tmp_path):
        for value in (b"\xff" * 12, b"\x80" + b"\xff" * 11, b"77777777777\0"):
            header = bytearray(tarfile.TarInfo("a.png").tobuf())
            header[124:136] = value
            header[148:156] = b" " * 8
            header[148:156] = b"%06o\0 " % sum(header)
            (tmp_path / "a.tar").write_bytes(header + bytes(2048))
            refused(tmp_path / "a.tar", r"a.tar is cut off or damaged at byte 0 \(a file of -?\d+ bytes\)")

    @pytest.mark.parametrize(
        "record", [b"0 path=a\n", b"x path=a\n", b"-5 path=a\n", b"12 size=-5", b"path", b"9 size=x\n"]
    )
    def test_extended_headers_that_are_none(self, tmp_path, record):
        extended = tarfile.TarInfo("x")
        extended.type = tarfile.XHDTYPE
        refused(tar_of(tmp_path / "a.tar", (extended, record), ("a.png", b"a")), "a.tar is cut off or damaged at byte")

    @pytest.mark.parametrize("type", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
    def test_a_large_header_is_not_held(self, tmp_path, monkeypatch, type):
        monkeypatch.setattr(archive, "LARGEST_HEADER", 1000)
        extended = tarfile.TarInfo("x")
        extended.type = type
        refused(tar_of(tmp_path / "a.tar", (extended, b"a" * 1001), ("a.png", b"a")), "too large a header")

    def test_headers_before_headers_do_not_recurse(self, tmp_path):
        extended = tarfile.TarInfo("x")
        extended.type = tarfile.XHDTYPE
        path = tar_of(tmp_path / "a.tar", *[(extended, b"10 path=b\n")] * 3000, ("a.png", b"a"))
        assert contents(path) == {"b": b"a"}

    def test_files_with_holes(self, tmp_path):
        sparse = tarfile.TarInfo("a.png")
        sparse.type = tarfile.GNUTYPE_SPARSE
        refused(tar_of(tmp_path / "a.tar", (sparse, b"")), "a sparse file")
        sparse = tarfile.TarInfo("a.png")
        sparse.pax_headers = {"GNU.sparse.major": "1"}
        refused(tar_of(tmp_path / "b.tar", (sparse, b""), format=tarfile.PAX_FORMAT), "a sparse file")

    def test_links_have_no_content_whatever_size_they_say(self, tmp_path):
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname, link.size = tarfile.SYMTYPE, "a.png", 512
        path = tar_of(tmp_path / "a.tar", ("a.png", b"a"))
        path.write_bytes(link.tobuf() + path.read_bytes())
        assert contents(path) == {"a.png": b"a"}


class TestGzip:
    @pytest.mark.parametrize("keep", [11, 30, 0.5, -9, -1])
    def test_cut_off(self, folder, temporary, keep):
        path = tarred(folder)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
        refused(path, r"release.tar.gz is cut off or damaged \(.*\); fetch it again.$")
        assert list(temporary.iterdir()) == []

    def test_packed_in_several_pieces(self, folder):
        """As parallel packers write it; joining gzip files is unpacking and joining."""
        path = tarred(folder, ".tar")
        expected, whole = contents(path), path.read_bytes()
        pieces = [gzip.compress(whole[start : start + 700]) for start in range(0, len(whole), 700)]
        path.write_bytes(b"".join(pieces))
        assert contents(path) == expected
        path.write_bytes(b"".join(pieces[:3]))
        refused(path, "release.tar is cut off or damaged at byte")

    def test_no_tar_in_it(self, tmp_path):
        (tmp_path / "a.tar.gz").write_bytes(gzip.compress(b"a picture"))
        refused(tmp_path / "a.tar.gz", "a.tar.gz is gzip-compressed, but does not contain a tar archive")

    def test_any_order_costs_one_unpacking(self, folder, monkeypatch):
        read = []
        real = gzip.GzipFile.read
        monkeypatch.setattr(gzip.GzipFile, "read", lambda self, size: read.append(size) or real(self, size))
        path = tarred(folder)
        with open_files(path) as files:
            unpacking = len(read)
            for name in [*files.names, *reversed(files.names)]:
                assert files.read(name) == name.removeprefix("release/").encode()
        assert len(read) == unpacking

    def test_the_unpacked_file_has_no_name_and_goes(self, folder, temporary):
        with open_files(tarred(folder)) as files:
            assert files.read("release/a.png")
            assert list(temporary.iterdir()) == []

    def test_bombs(self, tmp_path, monkeypatch, temporary):
        monkeypatch.setattr(archive, "HARMLESS", 2**20)
        path = tmp_path / "bomb.tar.gz"
        with tarfile.open(path, "w:gz") as opened:
            info = tarfile.TarInfo("a.png")
            info.size = 3 * 2**20
            opened.addfile(info, io.BytesIO(bytes(info.size)))
        refused(path, r"bomb.tar.gz is 0.0 MiB, but unpacks to more than 1, which images never do; fetch it again.$")
        monkeypatch.setattr(archive, "MOST_GROWTH", 2000)
        assert len(contents(path)["a.png"]) == 3 * 2**20

    def test_no_room_in_the_temporary_folder(self, folder, monkeypatch):
        full = Path("/dev/full")
        if not full.exists():
            pytest.skip("no /dev/full")
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full.open("wb", buffering=0))
        refused(
            tarred(folder), r"cannot be unpacked to .* \(No space left on device\); make room there or set TMPDIR to"
        )


class TestZip:
    def test_a_file_without_a_name(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
            opened.writestr("a", b"a")
        whole = (tmp_path / "a.zip").read_bytes()
        place = whole.index(b"PK\1\2") + 46
        (tmp_path / "a.zip").write_bytes(whole[:place] + b"\0" + whole[place + 1 :])
        refused(tmp_path / "a.zip", "a.zip has a file named '', which is not readable text; rename it.$")

    def test_a_false_size_is_not_trusted(self, tmp_path):
        """64 MiB of zeros that are said to be 10 bytes: no more than a piece of them is ever held."""
        path = tmp_path / "liar.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr("a.png", bytes(2**26))
        lying = path.read_bytes().replace(struct.pack("<L", 2**26), struct.pack("<L", 10))
        path.write_bytes(lying)
        tracemalloc.start()
        try:
            refused(path, "a.png in .*liar.zip cannot be unpacked")
            assert tracemalloc.get_traced_memory()[1] < 2**23
        finally:
            tracemalloc.stop()

    def test_lzma(self, tmp_path):
        """Its pieces may be large, so they are taken from little."""
        content = bytes(range(256)) * 1000
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as opened:
            opened.writestr("a.png", content)
            opened.writestr("b.png", bytes(2**27))
        with open_files(tmp_path / "a.zip") as files:
            assert files.read("a.png") == content
        whole = (tmp_path / "a.zip").read_bytes()
        (tmp_path / "liar.zip").write_bytes(whole.replace(struct.pack("<L", 2**27), struct.pack("<L", 10)))
        tracemalloc.start()
        try:
            refused(tmp_path / "liar.zip", "b.png in .*liar.zip cannot be unpacked")
            assert tracemalloc.get_traced_memory()[1] < 2**27
        finally:
            tracemalloc.stop()
        (tmp_path / "bad.zip").write_bytes(whole[:60] + bytes(20) + whole[80:])
        refused(tmp_path / "bad.zip", "a.png in .*bad.zip cannot be unpacked")

    def test_an_unusual_method(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as opened:
            opened.writestr("a.png", b"a")
        refused(
            tmp_path / "a.zip", "a.png in .*a.zip is compressed by an unsupported method; make a zip with `deflate`.$"
        )

    def test_backslashes_separate_folders(self, folder, tmp_path):
        """As Windows PowerShell 5 writes them, folders too."""
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
            opened.writestr("release\\b\\", b"")
            for name, content in contents(folder).items():
                opened.writestr(f"release\\{name}".replace("/", "\\"), content)
            opened.writestr("__MACOSX\\a.png", b"a")
        assert contents(tmp_path / "a.zip") == {f"release/{name}": data for name, data in contents(folder).items()}
        with zipfile.ZipFile(tmp_path / "a.zip", "a") as opened:
            opened.writestr("release/a.png", b"another")
        refused(tmp_path / "a.zip", "a.zip has two files named release/a.png; remove one of them.$")

    def test_backslashes_in_a_tar_are_part_of_the_name(self, tmp_path):
        assert contents(tar_of(tmp_path / "a.tar", ("a\\b.png", b"a"))) == {"a\\b.png": b"a"}

    def test_joined_archives(self, folder, tmp_path):
        path = zipped(folder)
        with zipfile.ZipFile(tmp_path / "b.zip", "w") as opened:
            opened.writestr("b.png", b"b")
        alone = (tmp_path / "b.zip").read_bytes()
        (tmp_path / "b.zip").write_bytes(b"#!program that unpacks itself\n" + alone)
        assert contents(tmp_path / "b.zip") == {"b.png": b"b"}
        (tmp_path / "b.zip").write_bytes(path.read_bytes() + alone)
        refused(tmp_path / "b.zip", "b.zip has files before those that it lists, as if several archives were joined;")

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    @pytest.mark.parametrize("kind", ["zip", "tar"])
    def test_two_files_of_one_name(self, tmp_path, monkeypatch, kind):
        path = tmp_path / f"a.{kind}"

        def write(*members: tuple[str, bytes]) -> None:
            if kind == "tar":
                tar_of(path, *members)
            else:
                with zipfile.ZipFile(path, "w") as opened:
                    for member in members:
                        opened.writestr(*member)

        write(("a.png", b"a"), ("b.png", b"b"), ("a.png", b"c"))
        refused(path, rf"a.{kind} has two files named a.png; remove one of them.$")
        write(*(("a.png", b"a"), ("b.png", b"b")), *(("a.png", b"c"), ("b.png", b"d"), ("a.png", b"e")))
        refused(path, rf"a.{kind} has two files named a.png, b.png; remove one of them.$")
        write(("a.png", b"a"), ("b.png", b"b"), ("a.png", b"a"), ("._a.png", b"1"), ("._a.png", b"2"))
        assert contents(path) == {"a.png": b"a", "b.png": b"b"}
        monkeypatch.setattr(archive, "HARMLESS", 0)
        refused(path, rf"a.{kind} has two files named a.png; remove one of them.$")


def test_empty_archives(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    assert contents(tmp_path / "a.zip") == {}
    tar_of(tmp_path / "a.tar", ("README.txt", b"no data"))
    assert contents(tmp_path / "a.tar") == {}
    refused(tar_of(tmp_path / "b.tar"), "b.tar is neither a folder nor a complete zip archive nor a tar archive")


@PACKERS
def test_too_many_files(folder, pack, monkeypatch):
    monkeypatch.setattr(archive, "MOST_MEMBERS", 3)
    refused(pack(folder), r"release.* has more than 3 files, too many for an image dataset; fetch it again.$")


@pytest.mark.parametrize("name", ["", "line\nbreak.png", "no\udcfftext.png", "bell\x07.png", "1" * 5000])
def test_names_that_are_not_text(tmp_path, name):
    refused(tar_of(tmp_path / "a.tar", (name, b"a")), "a.tar has a file named '.*', which is not readable text; rename")


def test_names_that_are_not_text_in_a_folder(tmp_path):
    (tmp_path / "Icon\r").touch()
    assert contents(tmp_path) == {}
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.png")).touch()
    refused(tmp_path, r"has a file named 'a\\udcff.png', which is not readable text; rename it.$")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    refused(tmp_path, "a.png is not a regular file; remove it.$")
    with pytest.raises(UserError, match=r"a.png is not a regular file"):
        digest(tmp_path)


class TestArchivesInside:
    @pytest.fixture
    def outer(self, folder, tmp_path) -> Path:
        outer = tmp_path / "outer"
        outer.mkdir()
        for pack in (zipped, tarred, lambda folder: tarred(folder, ".tar")):
            path = pack(folder)
            path.rename(outer / path.name)
        (outer / "cut.tar.gz").write_bytes((outer / "release.tar.gz").read_bytes()[:-20])
        return outer

    @pytest.mark.parametrize("pack", [lambda folder: folder, zipped, tarred, lambda folder: tarred(folder, ".tar")])
    def test_they_look_like_folders(self, folder, outer, pack, temporary):
        expected = {f"release/{name}": content for name, content in contents(folder).items()}
        with open_files(pack(outer)) as files:
            for name in files.names:
                if "cut" in name:
                    with pytest.raises(UserError, match=r"cut.tar.gz.* is cut off or damaged"), files.inside(name):
                        pass
                else:
                    with files.inside(name) as inside:
                        assert {name: inside.read(name) for name in inside.names} == expected
        assert list(temporary.iterdir()) == []

    def test_bombs(self, tmp_path, monkeypatch):
        monkeypatch.setattr(archive, "HARMLESS", 2**20)
        with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr("a.tar", bytes(3 * 2**20))
        sentence = r"a.tar in .*bomb.zip is 0.0 MiB, but unpacks to more than 1"
        with (
            open_files(tmp_path / "bomb.zip") as files,
            pytest.raises(UserError, match=sentence),
            files.inside("a.tar"),
        ):
            pass


def test_digest_of_a_large_file_in_a_folder(folder, monkeypatch):
    before = digest(folder)
    monkeypatch.setattr(archive, "LARGEST_MEMBER", 1)
    assert digest(folder) == before


WHOLE = {}
for suffix, mode in ((".tar", "w:"), (".tar.gz", "w:gz")):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.PAX_FORMAT) as opened:
        for name in ("a/ü.png", "b" * 150):
            info = tarfile.TarInfo(name)
            info.size = 5
            opened.addfile(info, io.BytesIO(b"abcde"))
    WHOLE[suffix] = buffer.getvalue()
CONTENTS = {b"abcde", b"some text " * 20}
with zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as opened:
    opened.writestr("a/ü.png", b"some text " * 20)
    opened.writestr("b.png", b"abcde", zipfile.ZIP_LZMA)
WHOLE[".zip"] = buffer.getvalue()


@hypothesis.settings(max_examples=150)
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    cut=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=12)), max_size=4),
)
def test_damaged_archives_are_read_or_refused(kind, cut, changes):
    data = bytearray(WHOLE[kind])
    for place, content in changes:
        start = int(place * len(data))
        data[start : start + len(content)] = content
    if cut < 0.3:
        del data[int(cut / 0.3 * len(data)) :]
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        try:
            read = contents(Path(file.name))
        except UserError as error:
            assert not re.search(r"[\n\ud800-\udfff]", str(error))
        else:
            assert kind == ".tar" or set(read.values()) <= CONTENTS  # the contents of a tar have no checksum

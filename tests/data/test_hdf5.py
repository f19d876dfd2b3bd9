"""HDF5 files that are damaged, foreign, or open in another program."""

import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from helpers.study import write_dataset

from segunc.data.hdf5 import create_hdf5, open_hdf5
from segunc.data.overview import describe
from segunc.data.preparation import summary
from segunc.data.store import read_attributes, read_split
from segunc.evaluation.predictions import read_predictions
from segunc.runtime.errors import UserError

READERS = {
    "read_split": lambda path: read_split(path, "test", 0),
    "read_attributes": read_attributes,
    "summary": summary,
    "describe": describe,
    "read_predictions": lambda path: list(read_predictions(path, np.array(["a"]))),
}


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "u1")
    layout[:] = h5py.VirtualSource("other.h5", "secret", (3,))
    file.create_virtual_dataset("images", layout)


FOREIGN = {
    "external link": lambda file: file.__setitem__("images", h5py.ExternalLink("other.h5", "secret")),
    "soft link": lambda file: file.__setitem__("images", h5py.SoftLink("/masks")),
    "soft link to nothing": lambda file: file.__setitem__("images", h5py.SoftLink("/nowhere")),
    "virtual": virtual,
    "external storage": lambda file: file.create_dataset("images", (3,), "u1", external=[("/etc/passwd", 0, 3)]),
    "group": lambda file: file.create_group("images"),
    "type": lambda file: file.__setitem__("images", np.dtype("u1")),
    "references": lambda file: file.create_dataset("images", data=[file["masks"].ref], dtype=h5py.ref_dtype),
    "ragged": lambda file: file.create_dataset("images", (3,), h5py.vlen_dtype("u1")),
    "records": lambda file: file.create_dataset("images", (3,), [("a", "u1"), ("b", "u1")]),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_leads_out_of_the_file_is_refused(tmp_path, kind, reader):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.arange(3, dtype=np.uint8)
    write_dataset(tmp_path / "a.h5", annotators=1)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["images"]
        FOREIGN[kind](file)
    with pytest.raises(UserError, match=r"a\.h5 was not written by segunc, because 'images' in it is not a dataset of"):
        READERS[reader](tmp_path / "a.h5")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("damage", ["empty", "garbage", "header", "cut", "cut at the end", "zeros", "no datasets"])
def test_damage_is_one_sentence(tmp_path, damage, reader):
    path = tmp_path / "a.h5"
    write_dataset(path, annotators=1)
    whole = path.read_bytes()
    if damage == "no datasets":
        path.unlink()
        h5py.File(path, "w").close()
    else:
        path.write_bytes(
            {
                "empty": b"",
                "garbage": os.urandom(1000),
                "header": whole[:8],
                "cut": whole[: len(whole) // 2],
                "cut at the end": whole[:-1],
                "zeros": whole[:1000] + bytes(len(whole) - 1000),
            }[damage]
        )
    if (damage, reader) == ("no datasets", "read_attributes"):
        assert read_attributes(path) == {}
        return
    with pytest.raises(UserError, match=rf"^{path} is damaged \(.+\); run snakemake, which makes it anew"):
        READERS[reader](path)


def test_damaged_pixels(tmp_path):
    path = tmp_path / "a.h5"
    write_dataset(path, annotators=1)
    with h5py.File(path) as file:
        chunk = file["images"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + 8] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.h5 is damaged \(.*filter returned failure.*\); run snakemake"):
        for split in ("train", "val", "test"):
            read_split(path, split, 0)


@pytest.mark.parametrize("environment", [None, "TRUE"])
@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_a_file_that_is_open_elsewhere(tmp_path, version, environment):
    """It is read, or the sentence names the cause; it is not called damaged."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=version) as file:
        file["images"] = np.arange(3)
    notebook = "import h5py, sys; file = h5py.File(sys.argv[1], 'a', libver=sys.argv[2]); file['x'] = 1; "
    notebook += "print('open', flush=True); sys.stdin.read()"
    reader = "import sys, pathlib; from segunc.data.hdf5 import open_hdf5\n"
    reader += "with open_hdf5(pathlib.Path(sys.argv[1])) as file: print(file['images'][:])"
    variables = {**os.environ, **({} if environment is None else {"HDF5_USE_FILE_LOCKING": environment})}
    program = [sys.executable, "-c", notebook, str(path), version]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "open\n"
        command = [sys.executable, "-c", reader, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, env=variables)
        other.communicate()
    refused = f"UserError: {path} is open for writing in another program; close it there and run again.\n"
    assert done.stdout == "[0 1 2]\n" or done.stderr.endswith(refused), done.stderr
    if version == "earliest" and environment is None:  # as segunc writes its files
        assert done.returncode == 0


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_a_file_system_without_locks(tmp_path):
    """As on some network file systems, every lock fails; a library in front of libc's plays that."""
    (tmp_path / "no_locks.c").write_text(
        "#include <errno.h>\nint flock(int file, int operation) { errno = ENOLCK; return -1; }\n"
    )
    library = tmp_path / "no_locks.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "no_locks.c"], check=True)
    program = (
        "import sys, pathlib; from segunc.data.hdf5 import create_hdf5, open_hdf5; path = pathlib.Path(sys.argv[1])\n"
    )
    program += "with create_hdf5(path) as file: file['images'] = [7]\n"
    program += "with open_hdf5(path) as file: print(file['images'][:])"
    command = [sys.executable, "-c", program, str(tmp_path / "a.h5")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LD_PRELOAD": str(library)})
    assert done.stdout == "[7]\n", done.stderr
    direct = [sys.executable, "-c", f"import h5py; h5py.File({str(tmp_path / 'b.h5')!r}, 'w')"]
    with_locks = subprocess.run(direct, capture_output=True, text=True, env={**os.environ, "LD_PRELOAD": str(library)})
    assert "No locks available" in with_locks.stderr, "the library in front does nothing"


def test_neither_reading_nor_writing_locks(tmp_path):
    with create_hdf5(tmp_path / "a.h5") as file:
        assert not file.id.get_access_plist().get_file_locking()[0]
    with open_hdf5(tmp_path / "a.h5") as file:
        assert not file.id.get_access_plist().get_file_locking()[0]

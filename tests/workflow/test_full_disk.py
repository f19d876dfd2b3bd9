"""A full disk ends a stage in one sentence, and leaves no half file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.workflow import TINY, merged, snakemake

MODEL = merged(TINY, grid={"datasets": ["phantom_lung"], "models": ["unet"]})


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a small disk, and not everywhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid that has enough room."""
    folder = tmp_path_factory.mktemp("whole")
    done = snakemake(folder, overlay=MODEL)
    assert done.returncode == 0, done.stderr
    return folder


CELL = ["--dataset", "phantom_lung", "--model", "unet", "--seed", "0"]
WHERE = ["--name", "test", "--device", "cpu", "--threads", "1"]


SCORES = {"images": "images.csv", "pixels": "pixels.csv.gz"}


@pytest.mark.parametrize(
    ("record", "program", "reads", "writes"),
    [
        ("prepare/phantom_lung", "segunc.prepare", [], {"output": "store.h5"}),
        ("train/phantom_lung/unet/seed0", "segunc.train", ["data", *WHERE], {"weights": "w.pt", "history": "h.csv"}),
        ("sample/phantom_lung/unet/seed0", "segunc.sample", ["data", "weights", *WHERE], {"output": "s.h5"}),
        ("evaluate/phantom_lung/unet/seed0", "segunc.evaluate", ["data", "samples", *CELL], SCORES),
        ("tables", "segunc.tables", ["data", "scores"], {"output": "tables"}),
        ("plot_ged_by_samples", "segunc.figures.ged_by_samples", ["summary"], {"png": "f.png", "pdf": "f.pdf"}),
    ],
)  # fmt: skip
def test_a_full_disk(small_disk: Path, whole: Path, record: str, program: str, reads: list, writes: dict) -> None:
    results = whole / "results"
    inputs = {
        "data": results / "data/phantom_lung.h5",
        "weights": results / "models/phantom_lung/unet/seed0/weights.pt",
        "samples": results / "samples/phantom_lung/unet/seed0.h5",
        "scores": results / "scores",
        "summary": results / "tables/summary.csv",
    }
    words = [word for name in reads for word in ([f"--{name}", str(inputs[name])] if name in inputs else [name])]
    words += [word for name, file in writes.items() for word in (f"--{name}", str(small_disk / file))]
    spec = json.loads((results / f"provenance/{record}.json").read_text())["spec"]
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        # Room for names, and for nothing else.
        file.write(bytes(256 * 1024))
    command = [sys.executable, "-m", program, "--spec", json.dumps(spec), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    sentence = done.stderr.strip().splitlines()[-1]
    assert (
        sentence.startswith(f"segunc: {small_disk}")
        and "because the disk is full; make room and run again." in sentence
    )
    assert "Traceback" not in done.stderr
    assert [path for path in small_disk.rglob("*") if path.is_file()] == [filler]

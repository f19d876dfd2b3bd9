"""Time and memory of reading and packing predictions that were made elsewhere, as the stage `import_predictions` does.

    python benchmarks/predictions.py [--masks 10000] [--maps 1000] [--size 128] [--samples 16]

`--masks` images have boolean samples in compressed NPZ files, `--maps` images float32 probabilities in NPY files (1 MiB
per image). The samples are smooth shapes with a random border. Exits with 1 if 10,000 images of a layout would take
more than 3 minutes, or more than 1 GiB of memory.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from segunc.data.store import ImageRecord, write_store

IMAGES, SECONDS, MIB = 10_000, 180, 1024
"""The most that so many images may take."""
IMPORT = """
import sys
from pathlib import Path
from segunc.evaluation.imported import write_imported

store, source, samples = map(Path, sys.argv[1:])
spec = {"options": {"samples": "independent", "pixels": "mask"}, "seed": 0, "raw": ""}
write_imported(samples, store, source, spec, "import")
"""


class Cost(NamedTuple):
    """Of one program."""

    wall: float
    """Seconds, as `cpu`."""
    cpu: float
    memory: float
    """Peak, in MiB."""


def cost_of(*words: str) -> Cost:
    start = time.perf_counter()
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)  # noqa: S603
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{words[0]} ended with {status}")
    return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def probabilities(size: int, samples: int) -> list[NDArray[np.float32]]:
    """Of ten images, (S, H, W) each."""
    rng = np.random.default_rng(0)
    far = np.hypot(*(np.mgrid[:size, :size] - size / 2))
    found = []
    for _ in range(10):
        noise = np.stack([gaussian_filter(rng.standard_normal((size, size)), 4) for _ in range(samples)])
        border = rng.uniform(0.1, 0.25) * size + 0.3 * size * noise
        found.append((1 / (1 + np.exp(far - border))).astype(np.float32))
    return found


def write(folder: Path, layout: str, count: int, size: int, samples: int) -> tuple[Path, Path]:
    """The store of `count` images, and their predictions in the layout."""
    drawn = probabilities(size, samples)
    blank = np.zeros((1, size, size), np.uint8)
    ids = [f"{number:05}" for number in range(count)]
    records = (ImageRecord(blank, [blank[0]], name, name, name, "test") for name in ids)
    write_store(folder / "store.h5", records, lambda patients, published: published, {"spec": {}})
    source = folder / layout
    source.mkdir()
    for number, name in enumerate(ids):
        # No two files are equal, as a file system might notice.
        one = np.roll(drawn[number % len(drawn)], number // len(drawn), axis=-1)
        if layout == "masks":
            np.savez_compressed(source / f"{name}.npz", samples=one > 0.5)
        else:
            np.save(source / f"{name}.npy", one)
    return folder / "store.h5", source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, default=10_000)
    parser.add_argument("--maps", type=int, default=1_000)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--samples", type=int, default=16)
    given = parser.parse_args()
    versions = " ".join(f"{name} {version(name)}" for name in ("numpy", "h5py"))
    print(f"Python {platform.python_version()} {versions}", flush=True)
    slow = False
    for layout, count in (("masks", given.masks), ("maps", given.maps)):
        with tempfile.TemporaryDirectory() as folder:
            store, source = write(Path(folder), layout, count, given.size, given.samples)
            size = sum(path.stat().st_size for path in source.iterdir()) / count / 1024
            cost = cost_of(sys.executable, "-c", IMPORT, str(store), str(source), str(Path(folder, "samples.h5")))
            packed = Path(folder, "samples.h5").stat().st_size / count / 1024
        print(
            f"{layout}: {count} images in {cost.wall:.1f} s, {cost.cpu:.1f} s of CPU time "
            f"({1000 * cost.cpu / count:.2f} ms per image), peak {cost.memory:.0f} MiB; "
            f"per image {size:.1f} KiB read, {packed:.1f} KiB written",
            flush=True,
        )
        slow |= cost.wall * IMAGES / count > SECONDS or cost.memory > MIB
    raise SystemExit(slow)


if __name__ == "__main__":
    main()

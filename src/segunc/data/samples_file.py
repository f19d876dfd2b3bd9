"""What writers of samples files share: sampled networks, and predictions from elsewhere (docs/architecture.md)."""

from collections.abc import Iterable, Mapping

import h5py
from numpy.typing import NDArray

MUTUAL_INFORMATION_FLOOR = 1e-5
"""In bits. Equal samples leave up to 8e-6 of mutual information in float32, most of it at uncertain pixels."""
PROBABILITY_FLOOR = 1e-8
"""Of foreground and background, in logarithms. An entropy is at most 6e-9 bits too low by it."""


def write_parts(file: h5py.File, parts: Iterable[Mapping[str, NDArray]], count: int) -> None:
    """Writes the datasets of `count` images from parts, which are of some images each."""
    done = 0
    datasets = {}  # h5py takes a fifth of a millisecond to find one by its name
    for part in parts:
        for name, values in part.items():
            if done == 0:
                # More compression takes a third more time for 4 % fewer bytes.
                datasets[name] = file.create_dataset(
                    name,
                    shape=(count, *values.shape[1:]),
                    dtype=values.dtype,
                    chunks=(1, *values.shape[1:]),
                    compression="gzip",
                    compression_opts=1,
                    shuffle=True,
                )
            datasets[name][done : done + len(values)] = values
        done += len(values)


def write_ids(file: h5py.File, name: str, ids: NDArray) -> None:
    """Writes the ids of images as texts."""
    file.create_dataset(name, data=ids.astype(object), dtype=h5py.string_dtype())

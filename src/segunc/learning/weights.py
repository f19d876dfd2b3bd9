"""`weights.pt`: the weights of a trained network, written and read."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from segunc.runtime.files import write_atomically
from segunc.runtime.reading import reading


def write_weights(path: Path, weights: Mapping[str, Any]) -> None:
    """Writes the weights that `train` returned; the same weights give the same bytes."""
    # Given a path, torch would write its name, which contains the process id, into the file.
    with write_atomically(path) as partial, partial.open("wb") as file:
        torch.save(dict(weights), file)


def load_weights(path: Path) -> dict[str, Any]:
    """What `write_weights` wrote: `spec` (JSON text), `data` (by name), `state` (tensors by name, on the CPU).

    Raises UserError if the file is not there, not readable, damaged or anything else. Nothing in it is executed.
    """
    with reading(path):
        weights = load_archive(path)
        if not isinstance(weights, dict) or not {"spec", "data", "state"} <= set(weights):
            raise ValueError("it has no weights of a network of segunc")
        return weights


def load_archive(path: Path) -> Any:
    """The plain values and tensors in a file that `torch.save` wrote, on the CPU; a damaged file may raise anything."""
    with zipfile.ZipFile(path) as archive:
        # torch does not check the checksums.
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's message advises executing the file.
        raise ValueError("it contains more than plain values and tensors") from error

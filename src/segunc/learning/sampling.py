"""Samples from a trained network, and the file that contains them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from segunc.data.hdf5 import create_hdf5
from segunc.data.store import Images
from segunc.learning.build import restore, to_float
from segunc.learning.device import log_precision, mixed_precision
from segunc.learning.passes import SAMPLING_BATCH
from segunc.runtime.files import write_atomically
from segunc.runtime.progress import Progress


def binary_entropy(p: Tensor) -> Tensor:
    """Entropy in bits of foreground probabilities in [0, 1], of the same shape; 0 at 0 and 1."""
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)) / np.log(2)


def summarise_samples(samples: Tensor) -> dict[str, np.ndarray]:
    """The datasets of the samples file for B images, from S samples of each: float32 (S, B, H, W) in [0, 1].

    `samples`: uint8 (B, S, ceil(HW / 8)), masks at threshold 0.5, packed bits. `mean_probability`: float32 (B, H, W).
    Entropies in bits, float16 (B, H, W), after Depeweg et al. 2018: `predictive_entropy` is the sum of
    `expected_entropy` and `mutual_information`.
    """
    mean = samples.mean(dim=0)
    predictive = binary_entropy(mean)
    expected = binary_entropy(samples).mean(dim=0)
    masks = (samples > 0.5).transpose(0, 1).flatten(start_dim=2)
    return {
        "samples": np.packbits(masks.cpu().numpy(), axis=-1),
        "mean_probability": mean.cpu().numpy(),
        "predictive_entropy": predictive.half().cpu().numpy(),
        "expected_entropy": expected.half().cpu().numpy(),
        # Not negative by concavity, but rounding may make it so.
        "mutual_information": (predictive - expected).clamp(min=0).half().cpu().numpy(),
    }


@torch.no_grad()
def sample(
    weights: Mapping[str, Any], images: np.ndarray, n: int, seed: int, device: torch.device, what: str
) -> tuple[dict[str, np.ndarray], str]:
    """n samples per image, uint8 (N, C, H, W), from trained weights.

    `what` names the work in progress lines. Returns the datasets of the samples file (`summarise_samples`) and the
    model's `draws` (independent or exact).
    """
    model, spec = restore(weights, device)
    log_precision(what, device, spec["training"]["precision"])
    generator = torch.Generator(device).manual_seed(seed)
    progress = Progress(what, len(images))
    parts = []
    for start in range(0, len(images), SAMPLING_BATCH):
        x = to_float(images[start : start + SAMPLING_BATCH], device)
        with mixed_precision(device, spec["training"]["precision"]):
            samples = model.sample(x, n, generator)
        parts.append(summarise_samples(samples.float()))
        progress.update(start + len(x))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, model.draws


def write_samples(
    path: Path, arrays: Mapping[str, np.ndarray], images: Images, draws: str, specs: Mapping[str, Any]
) -> None:
    """Writes a samples file: `arrays` and `draws` as `sample` returns them, `specs` of sampling and training."""
    with write_atomically(path) as partial, create_hdf5(partial) as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, chunks=(1, *values.shape[1:]), compression="gzip", shuffle=True)
        file.create_dataset("image_id", data=images.image_id.astype(object), dtype=h5py.string_dtype())
        file.attrs["height"], file.attrs["width"] = images.images.shape[-2:]
        file.attrs["draws"] = draws
        file.attrs["spec"] = json.dumps(specs, sort_keys=True)

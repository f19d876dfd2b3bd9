"""Samples from a trained network, and the file that contains them."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segunc.data.hdf5 import create_hdf5
from segunc.data.store import read_split
from segunc.learning.build import restore, to_float
from segunc.learning.device import log_precision, mixed_precision
from segunc.learning.passes import SAMPLING_BATCH
from segunc.learning.train_spec import SampleSpec, TrainSpec
from segunc.learning.weights import load_weights
from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically
from segunc.runtime.progress import Progress

MUTUAL_INFORMATION_FLOOR = 1e-5
"""In bits. Equal samples leave up to 8e-6 of mutual information in float32, most of it at uncertain pixels."""
PROBABILITY_FLOOR = 1e-8
"""Of foreground and background, in expected logarithms."""


def binary_entropy(p: Tensor) -> Tensor:
    """Entropy in bits of foreground probabilities in [0, 1], of the same shape; 0 at 0 and 1."""
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)) / np.log(2)


def summarise_samples(samples: Tensor) -> dict[str, np.ndarray]:
    """The datasets of the samples file for B images, from S samples of each: float32 (S, B, H, W) in [0, 1].

    `samples`: uint8 (B, S, ceil(HW / 8)), masks at threshold 0.5, packed bits. `mean_probability`: float32 (B, H, W).
    All others are float16 (B, H, W). Entropies in bits, after Depeweg et al. 2018: `predictive_entropy` is the sum of
    `expected_entropy` and `mutual_information`, which is 0 below MUTUAL_INFORMATION_FLOOR. `expected_log_foreground`
    and `expected_log_background` are means of log p and log(1 - p) over the samples, in nats, p clipped to
    [PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR].
    """
    mean = samples.mean(dim=0)
    predictive = binary_entropy(mean)
    expected = _expected(binary_entropy, samples)
    # Not negative by concavity, but rounding may make it so.
    information = predictive - expected
    masks = (samples > 0.5).transpose(0, 1).flatten(start_dim=2)
    halves = {
        "predictive_entropy": predictive,
        "expected_entropy": expected,
        "mutual_information": torch.where(information < MUTUAL_INFORMATION_FLOOR, 0, information),
        # In float32, 1 - PROBABILITY_FLOOR is 1; so each side is clipped from below.
        "expected_log_foreground": _expected(lambda p: p.clamp(min=PROBABILITY_FLOOR).log(), samples),
        "expected_log_background": _expected(lambda p: (1 - p).clamp(min=PROBABILITY_FLOOR).log(), samples),
    }
    return {
        "samples": np.packbits(masks.cpu().numpy(), axis=-1),
        "mean_probability": mean.cpu().numpy(),
        **{name: values.half().cpu().numpy() for name, values in halves.items()},
    }


def _expected(function: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """Mean of the function over the samples, one at a time: all at once would take several times their memory."""
    return sum(map(function, samples), torch.zeros_like(samples[0])) / len(samples)


def sample(
    weights: Mapping[str, Any], images: np.ndarray, n: int, seed: int, device: torch.device, what: str
) -> tuple[dict[str, np.ndarray], str]:
    """The samples of a trained network for N images, uint8 (N, C, H, W).

    They are n per image, or all outcomes of an exact model (`segunc.models`). `what` names the work in progress lines.
    Returns the datasets of the samples file (`summarise_samples`) and the model's `draws` (independent or exact).
    """
    model, spec = restore(weights, device)
    parts = [summarise_samples(part) for part in _batches(model, spec, images, n, seed, device, what)]
    # Popped, so that the parts do not take as much memory again.
    return {name: np.concatenate([part.pop(name) for part in parts]) for name in list(parts[0])}, model.draws


def mean_probability(
    weights: Mapping[str, Any], images: np.ndarray, n: int, seed: int, device: torch.device, what: str
) -> NDArray[np.float16]:
    """The mean of the same samples alone, (N, H, W)."""
    model, spec = restore(weights, device)
    parts = _batches(model, spec, images, n, seed, device, what)
    return np.concatenate([part.mean(dim=0).half().cpu().numpy() for part in parts])


@torch.no_grad()
def _batches(
    model: Any, spec: TrainSpec, images: np.ndarray, n: int, seed: int, device: torch.device, what: str
) -> Iterator[Tensor]:
    """Samples of a batch of images at a time, float32 (S, B, H, W)."""
    log_precision(what, device, spec["training"]["precision"])
    generator = torch.Generator(device).manual_seed(seed)
    progress = Progress(what, len(images))
    for start in range(0, len(images), SAMPLING_BATCH):
        x = to_float(images[start : start + SAMPLING_BATCH], device)
        with mixed_precision(device, spec["training"]["precision"]):
            samples = model.sample(x, n, generator)
        yield samples.float()
        progress.update(start + len(x))


def write_samples(path: Path, data: Path, weights: Path, spec: SampleSpec, device: torch.device, what: str) -> None:
    """Samples a trained network for the test images of the store `data`, and writes the samples file to `path`.

    Of the validation images of the same seed, if there are any, it contains the mean of as many samples. `what` names
    the work in progress lines. Raises UserError if there are no test images.
    """
    n, seed = spec["draws"], spec["seed"]
    test, validation = read_split(data, "test", seed), read_split(data, "val", seed)
    if len(test.images) == 0:
        raise UserError(f"{data} has no images in its test split; change the dataset's split in the config.")
    trained, ids = load_weights(weights), {"image_id": test.image_id}
    arrays, draws = sample(trained, test.images, n, seed, device, what)
    # Active learning needs no validation images.
    if len(validation.images):
        ids["validation_image_id"] = validation.image_id
        what = f"{what}, validation images"
        arrays["validation_probability"] = mean_probability(trained, validation.images, n, seed, device, what)
    with write_atomically(path) as partial, create_hdf5(partial) as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, chunks=(1, *values.shape[1:]), compression="gzip", shuffle=True)
        for name, names in ids.items():
            file.create_dataset(name, data=names.astype(object), dtype=h5py.string_dtype())
        file.attrs["height"], file.attrs["width"] = test.images.shape[-2:]
        file.attrs["draws"] = draws
        file.attrs["spec"] = json.dumps({"sample": spec, "train": json.loads(trained["spec"])}, sort_keys=True)

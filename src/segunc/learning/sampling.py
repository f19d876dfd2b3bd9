"""Samples from a trained network or a wrapper of it, and the file that contains them."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segunc.data.hdf5 import create_hdf5
from segunc.data.samples_file import MUTUAL_INFORMATION_FLOOR, PROBABILITY_FLOOR, write_ids, write_parts
from segunc.data.store import read_split
from segunc.learning import contract
from segunc.learning.build import file_of, restore, to_float, wrap
from segunc.learning.device import log_precision, mixed_precision
from segunc.learning.passes import sampling_batch
from segunc.learning.train_spec import SampleSpec, TrainSpec, WrapperSpec
from segunc.learning.weights import load_weights
from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically
from segunc.runtime.progress import Progress


def entropy_and_logs(p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Entropy in bits, log p and log(1 - p) in nats of foreground probabilities in [0, 1], of the same shape.

    p and 1 - p are at least PROBABILITY_FLOOR in the logarithms. The entropy of 0 and of 1 is 0.
    """
    # In float32, 1 - PROBABILITY_FLOOR is 1; so each side is clipped from below.
    log_p, log_q = p.clamp(min=PROBABILITY_FLOOR).log(), (1 - p).clamp(min=PROBABILITY_FLOOR).log()
    return (p * log_p + (1 - p) * log_q) / -math.log(2), log_p, log_q


def masks_and_mean(samples: Tensor) -> dict[str, np.ndarray]:
    """`samples` and `mean_probability` of B images, from S samples of each: float32 (S, B, H, W) in [0, 1].

    `samples`: uint8 (B, S, ceil(HW / 8)), masks at threshold 0.5, packed bits. `mean_probability`: float32 (B, H, W).
    """
    masks = (samples > 0.5).transpose(0, 1).flatten(start_dim=2)
    packed = np.packbits(masks.cpu().numpy(), axis=-1)
    return {"samples": packed, "mean_probability": samples.mean(dim=0).cpu().numpy()}


def summarise_samples(samples: Tensor) -> dict[str, np.ndarray]:
    """The datasets of the samples file for B images, from S samples of each: float32 (S, B, H, W) in [0, 1].

    Those of `masks_and_mean`, and maps, float16 (B, H, W). Entropies in bits, after Depeweg et al. 2018:
    `predictive_entropy` is the sum of `expected_entropy` and `mutual_information`, which is 0 below
    MUTUAL_INFORMATION_FLOOR. `expected_log_foreground` and `expected_log_background` are means of log p and log(1 - p)
    over the samples (`entropy_and_logs`).
    """
    mean = samples.mean(dim=0)
    predictive, *_ = entropy_and_logs(mean)
    totals = [torch.zeros_like(mean) for _ in range(3)]
    # One sample at a time: all at once would take several times their memory.
    for one in samples:
        for total, values in zip(totals, entropy_and_logs(one), strict=True):
            total += values
    expected, log_foreground, log_background = (total / len(samples) for total in totals)
    # Not negative by concavity, but rounding may make it so.
    information = predictive - expected
    maps = {
        "predictive_entropy": predictive,
        "expected_entropy": expected,
        "mutual_information": torch.where(information < MUTUAL_INFORMATION_FLOOR, 0, information),
        "expected_log_foreground": log_foreground,
        "expected_log_background": log_background,
    }
    return {**masks_and_mean(samples), **{name: values.half().cpu().numpy() for name, values in maps.items()}}


@torch.no_grad()
def sample(
    model: Any, spec: TrainSpec, images: np.ndarray, n: int, seed: int, device: torch.device, what: str
) -> Iterator[Tensor]:
    """Samples of a batch of images at a time, float32 (S, B, H, W), for N images, uint8 (N, C, H, W).

    They are n per image, or all outcomes of an exact model (`segunc.models`). `what` names the work in progress lines.
    """
    log_precision(what, device, spec["training"]["precision"])
    generator = torch.Generator(device).manual_seed(seed)
    progress = Progress(what, len(images))
    batch = sampling_batch(images.shape, device.type)
    for start in range(0, len(images), batch):
        x = to_float(images[start : start + batch], device)
        with mixed_precision(device, spec["training"]["precision"]):
            samples = model.sample(x, n, generator)
        yield samples.float()
        progress.update(start + len(x))


def write_samples(
    path: Path, data: Path, weights: Path, spec: SampleSpec, device: torch.device, what: str, maps: bool = True
) -> None:
    """Samples a trained network for the test images of the store `data`, and writes the samples file to `path`.

    Of the validation images of the same seed, if there are any, it contains the mean of as many samples. Without
    `maps`, it has masks and means alone, a third of the bytes. `what` names the work in progress lines. Raises
    UserError if there are no test images, or if the spec's wrapper breaks its contract.
    """
    n, seed = spec["draws"], spec["seed"]
    test, validation = read_split(data, "test", seed), read_split(data, "val", seed)
    if len(test.images) == 0:
        raise UserError(f"{data} has no images in its test split; change the dataset's split in the config.")
    trained = load_weights(weights)
    model, trained_by = restore(trained, device)
    if "wrapper" in spec:
        model = _wrapped(model, spec["wrapper"], trained_by, test.images, device)
    with write_atomically(path) as partial, create_hdf5(partial) as file:
        parts = map(
            summarise_samples if maps else masks_and_mean, sample(model, trained_by, test.images, n, seed, device, what)
        )
        write_parts(file, parts, len(test.images))
        write_ids(file, "image_id", test.image_id)
        # Active learning needs no validation images.
        if len(validation.images):
            write_ids(file, "validation_image_id", validation.image_id)
            what = f"{what}, validation images"
            of_validation = sample(model, trained_by, validation.images, n, seed, device, what)
            means = ({"validation_probability": part.mean(dim=0).half().cpu().numpy()} for part in of_validation)
            write_parts(file, means, len(validation.images))
        file.attrs["height"], file.attrs["width"] = test.images.shape[-2:]
        file.attrs["draws"] = model.draws
        file.attrs["spec"] = json.dumps({"sample": spec, "train": json.loads(trained["spec"])}, sort_keys=True)


def _wrapped(model: Any, spec: WrapperSpec, trained_by: TrainSpec, images: np.ndarray, device: torch.device) -> Any:
    """The wrapper of a trained network, tried on some of the images, uint8 (N, C, H, W)."""
    wrapper, path = wrap(spec, model), file_of(spec)
    some = to_float(images[np.arange(contract.IMAGES) % len(images)], device)
    some = contract.centres(some, len(trained_by["backbone"]["filters"]))
    contract.check_wrapper(wrapper, path, some, trained_by["training"]["precision"])
    return wrapper

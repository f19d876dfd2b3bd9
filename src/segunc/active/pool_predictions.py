"""Predictions of a round's model for the training images, in evaluation mode."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segunc.active.acquisition import AcquireSpec
from segunc.data.store import Images
from segunc.learning.build import restore, to_float
from segunc.learning.device import mixed_precision
from segunc.learning.passes import sampling_batch
from segunc.learning.sampling import sample, summarise_samples
from segunc.learning.weights import load_weights


def predict(spec: AcquireSpec, train: Images, weights: Path, device: torch.device) -> dict[str, NDArray]:
    """Predictions for all N training images that the strategy needs, by field of the Pool, (N, ...) each."""
    trained = load_weights(weights)
    if "draws" in spec:
        return uncertainty(trained, train.images, spec["draws"], spec["seed"], device, f"acquire {spec['method']}")
    return {"features": features(trained, train.images, device)}


def uncertainty(
    weights: Mapping[str, Any], images: NDArray[np.uint8], draws: int, seed: int, device: torch.device, what: str
) -> dict[str, NDArray[np.float32]]:
    """`predictive_entropy` and `mutual_information` of images (N, C, H, W), (N, H, W) each, in bits, at least 0.

    The same as in evaluation with as many samples.
    """
    model, spec = restore(weights, device)
    parts: dict[str, list[NDArray[np.float32]]] = {"predictive_entropy": [], "mutual_information": []}
    for samples in sample(model, spec, images, draws, seed, device, what):
        summary = summarise_samples(samples)
        for name, of_name in parts.items():
            of_name.append(summary[name].astype(np.float32))
    return {name: np.concatenate(of_name) for name, of_name in parts.items()}


@torch.no_grad()
def features(weights: Mapping[str, Any], images: NDArray[np.uint8], device: torch.device) -> NDArray[np.float32]:
    """What `features` of the model returns (`segunc.models`): images (N, C, H, W) to (N, F)."""
    model, spec = restore(weights, device)
    parts = []
    batch = sampling_batch(images.shape, device.type)
    for start in range(0, len(images), batch):
        with mixed_precision(device, spec["training"]["precision"]):
            of_part = model.features(to_float(images[start : start + batch], device))
        parts.append(of_part.float().cpu().numpy())
    return np.concatenate(parts)

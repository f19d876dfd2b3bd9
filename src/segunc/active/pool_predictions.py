"""Predictions of a round's network for the training images, in evaluation mode."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segunc.data.store import Images
from segunc.learning.build import restore, to_float
from segunc.learning.device import mixed_precision
from segunc.learning.passes import SAMPLING_BATCH
from segunc.learning.sampling import sample
from segunc.networks.backbone import Encoder

ROUNDING = 1e-5
"""In bits. Draws that are all the same leave up to 8e-6 of mutual information in float32, most at uncertain pixels."""


def predict(spec: Mapping[str, Any], train: Images, weights: Path, device: torch.device) -> dict[str, NDArray]:
    """What the strategy needs of the network's predictions for all training images, by field of the Pool.

    `spec` is `segunc.config.specs.active_acquire`.
    """
    trained = torch.load(weights, map_location=device, weights_only=True)
    if importlib.import_module(f"segunc.strategies.{spec['method']}").NEEDS == "features":
        return {"features": features(trained, train.images, device)}
    return uncertainty(trained, train.images, spec["draws"], spec["seed"], device, f"acquire {spec['method']}")


def uncertainty(
    weights: dict[str, Any], images: NDArray[np.uint8], draws: int, seed: int, device: torch.device, what: str
) -> dict[str, NDArray[np.float32]]:
    """`predictive_entropy` and `mutual_information` in bits of images (N, C, H, W), (N, H, W) each.

    Those of a test with as many draws, but mutual information below ROUNDING is 0: a sum over rounding errors would
    rank the images of a model whose draws are all the same, which knows no mutual information.
    """
    arrays, _ = sample(weights, images, draws, seed, device, what)
    mutual_information = arrays["mutual_information"].astype(np.float32)
    mutual_information[mutual_information < ROUNDING] = 0
    return {
        "predictive_entropy": arrays["predictive_entropy"].astype(np.float32),
        "mutual_information": mutual_information,
    }


@torch.no_grad()
def features(weights: dict[str, Any], images: NDArray[np.uint8], device: torch.device) -> NDArray[np.float32]:
    """Deepest features of the network's first encoder, averaged over the image: (N, C, H, W) to (N, filters[-1]).

    The first encoder is the U-Net's own, and in an ensemble that of the first member.
    """
    model, spec = restore(weights, device)
    encoder = next(module for module in model.modules() if isinstance(module, Encoder))
    parts = []
    for start in range(0, len(images), SAMPLING_BATCH):
        with mixed_precision(device, spec["training"]["precision"]):
            deepest = encoder(to_float(images[start : start + SAMPLING_BATCH], device))[-1]
        parts.append(deepest.float().mean(dim=(2, 3)).cpu().numpy())
    return np.concatenate(parts)

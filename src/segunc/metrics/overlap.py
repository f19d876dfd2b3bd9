"""Overlap of masks.

The rule for empty masks, here and in everything built on it: two empty masks say the same, so their IoU and their
Dice are 1; an empty and a non-empty mask share nothing, so they are 0.
"""

import numpy as np
from numpy.typing import NDArray

SOFT_DICE_EPS = 1.0
"""In pixels. Below one pixel, the slightest probability would cost the whole loss on an empty annotation."""


def pairwise_iou(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """Intersection over union of every mask of `first` with every mask of `second`.

    first: (M, H, W), second: (K, H, W), bool or {0, 1}, of fewer than 2**24 pixels. Returns (M, K) in [0, 1].
    """
    # The intersections of all pairs are one matrix product, whose counts float32 holds exactly up to 2**24.
    a = first.reshape(len(first), -1).astype(np.float32)
    b = second.reshape(len(second), -1).astype(np.float32)
    intersection = (a @ b.T).astype(np.float64)
    union = a.sum(axis=1, dtype=np.float64)[:, None] + b.sum(axis=1, dtype=np.float64) - intersection
    return np.divide(intersection, union, out=np.ones_like(union), where=union > 0)


def iou(prediction: NDArray, annotations: NDArray) -> float:
    """IoU of one mask with each annotation, averaged: prediction (H, W), annotations (A, H, W), bool or {0, 1}."""
    return float(pairwise_iou(prediction[None], annotations).mean())


def dice(prediction: NDArray, annotations: NDArray) -> float:
    """Dice coefficient of one mask with each annotation, averaged; shapes and types as for `iou`."""
    overlap = pairwise_iou(prediction[None], annotations)
    return float((2 * overlap / (1 + overlap)).mean())


def soft_dice_loss(probability: NDArray, annotations: NDArray) -> float:
    """Soft-Dice loss of a probability map p against each annotation y, averaged over the annotations.

    1 - (2 sum(p y) + eps) / (sum(p) + sum(y) + eps), summed over pixels, with eps = SOFT_DICE_EPS.
    probability: (H, W) in [0, 1]; annotations: (A, H, W), bool or {0, 1}. Returns a value in [0, 1].

    Where annotators differ no map reaches 0. The study squares the sums of the denominator and compares with the
    mean annotation, so its numbers are on another scale.
    """
    p = probability.reshape(-1).astype(np.float64)
    y = annotations.reshape(len(annotations), -1).astype(np.float64)
    loss = 1 - (2 * y @ p + SOFT_DICE_EPS) / (p.sum() + y.sum(axis=1) + SOFT_DICE_EPS)
    return float(loss.mean())

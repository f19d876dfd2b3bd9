"""Overlap of masks.

The rule for empty masks, here and in everything built on it: two empty masks agree, so their IoU and their Dice are 1;
an empty and a non-empty mask share nothing, so they are 0.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["SOFT_DICE_EPS", "dice", "iou", "pairwise_iou", "soft_dice_loss"]

SOFT_DICE_EPS = 1.0
"""In pixels. Below one pixel, the slightest probability would cost the whole loss on an empty annotation."""


def pairwise_iou(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """Intersection over union of every mask of `first` with every mask of `second`.

    Parameters
    ----------
    first
        (M, H, W), bool or {0, 1}, of fewer than 2**24 pixels.
    second
        (K, H, W), the same.

    Returns
    -------
    NDArray
        (M, K), float64 in [0, 1].

    Examples
    --------
    >>> left, all_ = np.array([[1, 0]]), np.array([[1, 1]])
    >>> pairwise_iou(np.stack([left, all_]), np.stack([left, all_])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    # The intersections of all pairs are one matrix product, whose counts float32 holds exactly up to 2**24.
    a = first.reshape(len(first), -1).astype(np.float32)
    b = second.reshape(len(second), -1).astype(np.float32)
    intersection = (a @ b.T).astype(np.float64)
    union = a.sum(axis=1, dtype=np.float64)[:, None] + b.sum(axis=1, dtype=np.float64) - intersection
    return np.divide(intersection, union, out=np.ones_like(union), where=union > 0)


def iou(prediction: NDArray, annotations: NDArray) -> float:
    """IoU of one mask with each annotation, averaged over the annotations.

    Parameters
    ----------
    prediction
        (H, W), bool or {0, 1}.
    annotations
        (A, H, W), bool or {0, 1}.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> iou(np.array([[1, 0]]), np.array([[[1, 0]], [[1, 1]]]))
    0.75
    """
    return float(pairwise_iou(prediction[None], annotations).mean())


def dice(prediction: NDArray, annotations: NDArray) -> float:
    """Dice coefficient of one mask with each annotation, averaged over the annotations.

    Parameters
    ----------
    prediction
        (H, W), bool or {0, 1}.
    annotations
        (A, H, W), bool or {0, 1}.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> dice(np.array([[1, 0, 0]]), np.array([[[1, 0, 0]], [[1, 1, 1]]]))
    0.75
    """
    overlap = pairwise_iou(prediction[None], annotations)
    return float((2 * overlap / (1 + overlap)).mean())


def soft_dice_loss(probability: NDArray, annotations: NDArray) -> float:
    """Soft Dice loss of a probability map p with each annotation y, averaged over the annotations.

    1 - (2 sum(p y) + eps) / (sum(p) + sum(y) + eps), summed over pixels, with eps = SOFT_DICE_EPS. Where annotators
    differ, no map reaches 0. Czolbe et al. 2021 square the sums of the denominator and compare with the mean
    annotation, so their numbers are on another scale.

    Parameters
    ----------
    probability
        (H, W), float in [0, 1].
    annotations
        (A, H, W), bool or {0, 1}.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> soft_dice_loss(np.array([[1.0, 0.0]]), np.array([[[1, 0]]]))
    0.0
    >>> soft_dice_loss(np.array([[1.0, 0.0]]), np.array([[[0, 0]]]))
    0.5
    """
    p = probability.reshape(-1).astype(np.float64)
    y = annotations.reshape(len(annotations), -1).astype(np.float64)
    loss = 1 - (2 * y @ p + SOFT_DICE_EPS) / (p.sum() + y.sum(axis=1) + SOFT_DICE_EPS)
    return float(loss.mean())

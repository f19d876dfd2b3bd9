"""Overlap of one mask, or of one probability map, with the annotations; empty masks as in `segunc.masks`."""

import numpy as np
from numpy.typing import NDArray

from segunc.masks import pairwise_iou

__all__ = ["SOFT_DICE_EPS", "dice", "iou", "soft_dice_loss"]

SOFT_DICE_EPS = 1.0
"""In pixels. Below one pixel, the slightest probability would cost the whole loss on an empty annotation."""


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
    differ, no map reaches 0. Czolbe et al. 2021 sum squares in the denominator and compare with the mean annotation, so
    their numbers are on another scale.

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

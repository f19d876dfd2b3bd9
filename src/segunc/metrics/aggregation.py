"""Uncertainty of an image as one number: what a map of uncertainty is worth for finding bad masks depends on it."""

from collections.abc import Callable
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from segunc.metrics.ged import Distances

__all__ = ["AGGREGATIONS", "MAPS", "NAMES", "PATCH", "foreground", "mean", "pairwise", "patch"]

PATCH = 9
"""Side of the patch in pixels."""
MAPS = {
    "entropy": "predictive entropy",
    "expected": "expected entropy",
    "mi": "mutual information",
}
"""The maps that are aggregated, and what they are."""


def mean(uncertainty: NDArray, prediction: NDArray) -> float:
    """Mean over all pixels: the sum, in which Czolbe et al. 2021 rank images, up to the size of the image.

    Parameters
    ----------
    uncertainty
        (H, W), float.
    prediction
        (H, W), bool: not used.

    Examples
    --------
    >>> mean(np.array([[0.0, 1.0]]), np.array([[False, False]]))
    0.5
    """
    return float(uncertainty.mean(dtype=np.float64))


def foreground(uncertainty: NDArray, prediction: NDArray) -> float:
    """Mean over the predicted foreground; the largest value of the map if nothing is predicted.

    Parameters
    ----------
    uncertainty
        (H, W), float.
    prediction
        (H, W), bool.

    Examples
    --------
    >>> u = np.array([[0.25, 0.5]])
    >>> foreground(u, np.array([[True, False]])), foreground(u, np.array([[False, False]]))
    (0.25, 0.5)
    """
    return float(uncertainty[prediction].mean(dtype=np.float64) if prediction.any() else uncertainty.max())


def patch(uncertainty: NDArray, prediction: NDArray) -> float:
    """Largest mean over a square of PATCH pixels within the image (Kahl et al. 2024).

    Parameters
    ----------
    uncertainty
        (H, W), float. A side below PATCH is the patch's.
    prediction
        (H, W), bool: not used.

    Examples
    --------
    >>> u = np.zeros((20, 20))
    >>> u[5:14, 5:8] = 1
    >>> round(patch(u, u > 1), 6)
    0.333333
    """
    u = uncertainty.astype(np.float64)
    height, width = (min(PATCH, side) for side in u.shape)
    rows = reduce(np.add, (u[i : len(u) - height + 1 + i] for i in range(height)))
    sums = reduce(np.add, (rows[:, i : u.shape[1] - width + 1 + i] for i in range(width)))
    return float(sums.max() / (height * width))


AGGREGATIONS: dict[str, Callable[[NDArray, NDArray], float]] = {"mean": mean, "foreground": foreground, "patch": patch}
"""How a map becomes a number."""


def pairwise(distances: Distances) -> float:
    """1 - mean Dice of two different samples (Zenk et al. 2025).

    Exact samples count as what they are, a whole distribution: the mean is over all pairs, so that a model with one
    outcome has 0.

    Returns
    -------
    float
        In [0, 1]; NaN for one independent sample.

    Examples
    --------
    >>> from segunc.metrics.ged import distances
    >>> both, left = np.array([[1, 1]]), np.array([[1, 0]])
    >>> round(pairwise(distances(np.stack([both, left]), left[None], exact=False)), 6)
    0.333333
    """
    count = len(distances.between_samples)
    pairs = count**2 if distances.exact else count * (count - 1)
    # 1 - Dice = d / (2 - d), with d = 1 - IoU.
    total = (distances.between_samples / (2 - distances.between_samples)).sum()
    return float(total) / pairs if pairs else float("nan")


NAMES = (*(f"u_{how}_{name}" for how in AGGREGATIONS for name in MAPS), "u_pairwise")
"""Columns of `images.csv`."""

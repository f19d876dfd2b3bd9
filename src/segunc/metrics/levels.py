"""Level sets of a probability map: where it exceeds a threshold."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "level_sets"]

LEVELS = (np.arange(16) + 0.5) / 16
"""Midpoints (i + 0.5) / 16 of 16 equal parts of [0, 1]: 16 outcomes of a random threshold, equally likely."""


def level_sets(probability: NDArray, thresholds: NDArray[np.float64] = LEVELS) -> NDArray[np.bool_]:
    """The masks of a probability map at several thresholds, nested if these ascend.

    At LEVELS they are a sampler that every probability map has at no cost, with the map as its mean up to 1/32: what a
    model's own samples add to its mean shows in the comparison with them.

    Parameters
    ----------
    probability
        (H, W), float in [0, 1].
    thresholds
        (N,), in [0, 1].

    Returns
    -------
    NDArray
        (N, H, W), bool: probability > threshold.

    Examples
    --------
    >>> level_sets(np.array([[0.2, 0.5]]), np.array([0.25, 0.5])).tolist()
    [[[False, True]], [[False, False]]]
    """
    # Converted once, not with each threshold.
    return probability.astype(np.float64) > thresholds[:, None, None]

"""Agreement of samples and annotations after the best one-to-one matching."""

import math

import numpy as np
from numpy.typing import NDArray

from segunc.metrics.ged import Distances

__all__ = ["LARGEST", "compared", "hm_iou"]

LARGEST = 16
"""Independent samples that are compared: what depends on their number is otherwise no measure of the model."""


def compared(distances: Distances) -> NDArray[np.float64]:
    """IoU of the samples that are compared with every annotation: all exact ones, the first LARGEST independent ones.

    Returns
    -------
    NDArray
        (S or fewer, A), float64 in [0, 1].

    Examples
    --------
    >>> nothing = np.zeros((64, 1))
    >>> len(compared(Distances(nothing, nothing, nothing, exact=False)))
    16
    """
    cross = distances.cross
    return 1 - (cross if distances.exact else cross[:LARGEST])


def hm_iou(distances: Distances) -> float:
    """Hungarian-matched IoU (Kohl et al. 2019, arXiv:1905.13077): mean IoU of the best one-to-one matching.

    Samples and annotations are repeated to the least common multiple of their numbers, so that each counts equally
    often.

    Parameters
    ----------
    distances
        Of one image. The samples are those of `compared`.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> from segunc.metrics.ged import distances
    >>> left, both, none = np.array([[1, 0]]), np.array([[1, 1]]), np.array([[0, 0]])
    >>> hm_iou(distances(np.stack([left, none]), np.stack([both, none]), exact=True))
    0.75
    """
    # Imported where it is needed: it takes as long as 40 images, and tables and figures only name this metric.
    from scipy.optimize import linear_sum_assignment

    overlap = compared(distances)
    size = math.lcm(*overlap.shape)
    repeated = np.repeat(np.repeat(overlap, size // len(overlap), axis=0), size // overlap.shape[1], axis=1)
    return float(repeated[linear_sum_assignment(repeated, maximize=True)].mean())

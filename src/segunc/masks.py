"""Masks compared with masks: what metrics, acquisition and statistics of annotations share.

The rule for empty masks, here and in everything built on it: two empty masks agree, so their IoU is 1; an empty and a
non-empty mask share nothing, so it is 0.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["pairwise_iou"]


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

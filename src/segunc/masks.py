"""Masks compared with masks: what metrics, acquisition and statistics of annotations share.

The rule for empty masks, here and in everything built on it: two empty masks agree, so their IoU is 1; an empty and a
non-empty mask share nothing, so it is 0.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["frequency", "pairwise_iou", "window"]


def frequency(masks: NDArray) -> NDArray[np.float64]:
    """Share of the masks that mark each pixel.

    Parameters
    ----------
    masks
        (M, H, W), bool or {0, 1}, fewer than 2**16.

    Returns
    -------
    NDArray
        (H, W), float64 in [0, 1].

    Examples
    --------
    >>> frequency(np.array([[[1, 0]], [[1, 1]]])).tolist()
    [[1.0, 0.5]]
    """
    return masks.sum(axis=0, dtype=np.uint16) / len(masks)


def window(marked: NDArray[np.bool_], margin: int = 0) -> tuple[slice, slice]:
    """The smallest part of an image that has all marked pixels, with a margin within the image.

    Parameters
    ----------
    marked
        (H, W), bool.
    margin
        In pixels.

    Returns
    -------
    tuple
        Of rows and of columns; both are empty if nothing is marked.

    Examples
    --------
    >>> marked = np.zeros((4, 4), bool)
    >>> marked[1, 2] = True
    >>> window(marked), window(marked, margin=2)
    ((slice(1, 2, None), slice(2, 3, None)), (slice(0, 4, None), slice(0, 5, None)))
    """
    rows, columns = (_around(np.flatnonzero(marked.any(axis=axis)), margin) for axis in (1, 0))
    return rows, columns


def _around(positions: NDArray[np.intp], margin: int) -> slice:
    """The part of an axis from the first to the last position, with a margin; empty if there is none."""
    return slice(max(int(positions[0]) - margin, 0), int(positions[-1]) + margin + 1) if len(positions) else slice(0)


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
    # Pixels outside all masks count in no intersection and no union, and most are.
    within = window(np.asarray(first.any(axis=0) | second.any(axis=0)))
    # The intersections of all pairs are one matrix product, whose counts float32 holds exactly up to 2**24.
    a, b = (masks[:, *within].reshape(len(masks), -1).astype(np.float32) for masks in (first, second))
    intersection = (a @ b.T).astype(np.float64)
    union = a.sum(axis=1, dtype=np.float64)[:, None] + b.sum(axis=1, dtype=np.float64) - intersection
    return np.divide(intersection, union, out=np.ones_like(union), where=union > 0)

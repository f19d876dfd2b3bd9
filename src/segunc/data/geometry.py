"""Cropping and resizing: pure functions on the last two axes of an array."""

import numpy as np
from numpy.typing import NDArray


def crop(pixels: NDArray, size: int, padding: float) -> NDArray:
    """The central `size` x `size` pixels of (..., H, W), in the same dtype.

    Where the array is smaller than that, it is surrounded by `padding`. With an odd remainder the left or upper
    side gets the smaller part, in cropping as in padding, so that images and masks always stay aligned.
    """
    for axis in (-2, -1):
        pixels = _crop_axis(pixels, axis, size, padding)
    return pixels


def _crop_axis(pixels: NDArray, axis: int, size: int, padding: float) -> NDArray:
    length = pixels.shape[axis]
    if length >= size:
        start = (length - size) // 2
        return np.take(pixels, range(start, start + size), axis)
    before = (size - length) // 2
    widths = [(0, 0)] * pixels.ndim
    widths[axis] = (before, size - length - before)
    return np.pad(pixels, widths, constant_values=padding)


def area(pixels: NDArray, size: int) -> NDArray:
    """(..., H, W) averaged over areas to (..., size, size), in the same dtype; the aspect ratio is not kept.

    Each new pixel is the mean of the old ones under it, weighted by how much of each it covers. Integers are rounded
    half up, so a mask of {0, 1} remains one: a pixel is foreground if at least half of its area was.

    The weights are whole numbers and the sums exact in float64, so the result is the same on every machine.
    """
    height, width = pixels.shape[-2:]
    sums = _overlaps(height, size) @ pixels.astype(np.float64) @ _overlaps(width, size).T
    means = sums / (height * width)
    if np.issubdtype(pixels.dtype, np.integer):
        means = np.floor(means + 0.5)
    return means.astype(pixels.dtype)


def _overlaps(old: int, new: int) -> NDArray:
    """(new, old): lengths that new and old pixels of one axis share, in units of 1 / (old * new) of the axis."""
    new_edges = np.arange(new + 1) * old
    old_edges = np.arange(old + 1) * new
    ends = np.minimum(new_edges[1:, None], old_edges[None, 1:])
    starts = np.maximum(new_edges[:-1, None], old_edges[None, :-1])
    return np.maximum(ends - starts, 0).astype(np.float64)

"""Calibration: whether pixels with a predicted probability p are foreground for a share p of the annotators."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segunc.masks import frequency

__all__ = ["BINS", "Bins", "bins", "ece"]

BINS = 15
"""Equal bins of the probability over [0, 1]: [i / 15, (i + 1) / 15), the last one closed."""


class Bins(NamedTuple):
    """Sums over the pixels of each bin of probability. Those of several images add up to those of all their pixels."""

    pixels: NDArray
    """(BINS,), int: number of pixels."""
    probability: NDArray
    """(BINS,), float64: sum of the predicted probabilities."""
    frequency: NDArray
    """(BINS,), float64: sum of the shares of annotators who mark the pixel."""


def bins(probability: NDArray, annotations: NDArray) -> Bins:
    """The bins of one image.

    Parameters
    ----------
    probability
        (H, W), float in [0, 1].
    annotations
        (A, H, W), bool or {0, 1}.

    Examples
    --------
    >>> found = bins(np.array([[0.2, 0.9]]), np.array([[[0, 1]], [[1, 1]]]))
    >>> filled = found.pixels > 0
    >>> found.probability[filled].tolist(), found.frequency[filled].tolist()
    ([0.2, 0.9], [0.5, 1.0])
    """
    p = probability.reshape(-1).astype(np.float64)
    bin_of = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    return Bins(
        pixels=np.bincount(bin_of, minlength=BINS),
        probability=np.bincount(bin_of, p, BINS),
        frequency=np.bincount(bin_of, frequency(annotations).reshape(-1), BINS),
    )


def ece(bins: Bins) -> float:
    """Expected calibration error (Guo et al. 2017) against the annotators' frequencies.

    The mean over pixels of the difference, in their bin, of mean probability and mean frequency. On one image, bins of
    few pixels make it too large on average; for a number per model, add up the bins of all images first. Most pixels
    are in the lowest bin, where every model is right.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> round(ece(bins(np.array([[0.2, 0.9]]), np.array([[[0, 1]], [[1, 1]]]))), 6)
    0.2
    """
    return float(np.abs(bins.probability - bins.frequency).sum() / bins.pixels.sum())

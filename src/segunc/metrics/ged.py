"""Generalised energy distance between a model's samples and the annotations (Székely and Rizzo 2013; Kohl et al. 2018).

GED^2 = 2 E d(s, a) - E d(s, s') - E d(a, a'), with d = 1 - IoU (empty masks as in `overlap`). All annotators are known,
so their terms are exact means over all A and all A^2 pairs; only the model's distribution is sampled.

`distances` computes the terms once per image, from matrix products; each estimator combines them. Below, C is the mean
d(s, a), D the mean d(a, a') over all A^2 pairs, and M the mean d(s, s'), in which the estimators differ.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segunc.metrics.overlap import pairwise_iou

__all__ = ["SIZES", "Distances", "distances", "diversity", "study_estimator", "u_statistic", "v_statistic"]

SIZES = (1, 4, 8, 16)
"""Numbers of samples n for which the distance is reported."""
LARGEST = SIZES[-1]


class Distances(NamedTuple):
    """The distances d = 1 - IoU of one image that all estimators are made from."""

    cross: float
    """C: mean distance between a sample and an annotation."""
    between_samples: NDArray[np.float64]
    """(S, S): distance between every two samples; 0 on the diagonal."""
    between_annotators: float
    """D: mean distance between two annotations, over all A^2 pairs."""
    exact: bool
    """Whether the S samples are the whole distribution, each outcome equally often."""


def distances(samples: NDArray, annotations: NDArray, *, exact: bool) -> Distances:
    """The distances between samples, between annotations, and between both.

    Parameters
    ----------
    samples
        (S, H, W), bool or {0, 1}: masks sampled from the model. S is a multiple of 16.
    annotations
        (A, H, W), bool or {0, 1}: the existing masks of all annotators.
    exact
        Whether the samples are the whole distribution, each outcome equally often; else they are independent.

    Raises
    ------
    ValueError
        If S is 0 or not a multiple of 16.

    Examples
    --------
    >>> left, right = np.array([[1, 0]]), np.array([[0, 1]])
    >>> found = distances(np.stack([left] * 16), np.stack([left, right]), exact=True)
    >>> float(found.cross), float(found.between_samples.max()), float(found.between_annotators)
    (0.5, 0.0, 0.5)
    """
    count = len(samples)
    if count == 0 or count % LARGEST:
        raise ValueError(f"there are {count} samples; their number must be a multiple of {LARGEST}")
    cross = (1 - pairwise_iou(samples, annotations)).mean()
    between_annotators = (1 - pairwise_iou(annotations, annotations)).mean()
    return Distances(cross, 1 - pairwise_iou(samples, samples), between_annotators, exact)


def v_statistic(distances: Distances, n: int) -> float:
    """V-statistic of n samples: 2 C - M - D, where M is the mean over all n^2 pairs, equal indices included.

    To use every sample, it is averaged over the S / n blocks of n consecutive samples. A perfect model whose samples
    are independent gets D / n instead of 0, because d(s_i, s_i) = 0 belongs to M.

    Parameters
    ----------
    distances
        Of one image.
    n
        One of SIZES.

    Returns
    -------
    float
        In [0, 2].

    Examples
    --------
    >>> left, right = np.array([[1, 0]]), np.array([[0, 1]])
    >>> both = np.stack([left, right])
    >>> v_statistic(distances(np.stack([left] * 16), both, exact=True), n=16)
    0.5
    >>> v_statistic(distances(np.stack([left, right] * 8), both, exact=True), n=16)
    0.0
    """
    within_blocks = _mean_within_blocks(distances.between_samples, n)
    return float(2 * distances.cross - within_blocks - distances.between_annotators)


def u_statistic(distances: Distances) -> float:
    """U-statistic: 2 C - M - D, where M is the mean over the S (S - 1) pairs of different samples.

    It is unbiased: a perfect model gets 0 on average. Exact samples have no sampling error to correct, so there M is
    the mean over all pairs.

    Returns
    -------
    float
        In [-1/16, 2].

    Examples
    --------
    >>> left, right = np.array([[1, 0]]), np.array([[0, 1]])
    >>> both, alternating = np.stack([left, right]), np.stack([left, right] * 8)
    >>> u_statistic(distances(alternating, both, exact=True))
    0.0
    >>> round(u_statistic(distances(alternating, both, exact=False)), 6)
    -0.033333
    """
    return float(2 * distances.cross - _unbiased(distances) - distances.between_annotators)


def study_estimator(distances: Distances) -> float:
    """The estimator of Czolbe et al. 2021 in expectation, for comparison with published numbers only.

    It draws n = 16 samples and n annotators with replacement and takes all n^2 pairs of each, which leaves 1 - 1/n of
    M and of D. A perfect model gets 2 D / n.

    Returns
    -------
    float
        In [0, 2].

    Examples
    --------
    >>> left, right = np.array([[1, 0]]), np.array([[0, 1]])
    >>> study_estimator(distances(np.stack([left, right] * 8), np.stack([left, right]), exact=True))
    0.0625
    """
    both = _unbiased(distances) + distances.between_annotators
    return float(2 * distances.cross - (1 - 1 / LARGEST) * both)


def diversity(distances: Distances) -> float:
    """Mean distance between two of 16 samples (Monteiro et al. 2020): M of the V-statistic.

    Returns
    -------
    float
        In [0, 15/16].

    Examples
    --------
    >>> left, right = np.array([[1, 0]]), np.array([[0, 1]])
    >>> diversity(distances(np.stack([left, right] * 8), left[None], exact=True))
    0.5
    """
    return _mean_within_blocks(distances.between_samples, LARGEST)


def _unbiased(distances: Distances) -> float:
    """Mean distance between two samples without the bias of equal indices; exact samples have none."""
    count = len(distances.between_samples)
    pairs = count**2 if distances.exact else count * (count - 1)
    return float(distances.between_samples.sum()) / pairs


def _mean_within_blocks(between_samples: NDArray[np.float64], n: int) -> float:
    """Mean over the n^2 pairs of each block of n consecutive samples, averaged over the blocks."""
    blocks = len(between_samples) // n
    return float(np.einsum("bibj->", between_samples.reshape(blocks, n, blocks, n))) / (blocks * n**2)

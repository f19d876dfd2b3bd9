"""Generalised energy distance between a model's samples and the annotations (Székely and Rizzo 2013; Kohl et al. 2018).

GED^2 = 2 E d(s, a) - E d(s, s') - E d(a, a'), with d = 1 - IoU (empty masks as in `segunc.masks`). Below, C is the mean
d(s, a); D the mean d(a, a') over all A^2 pairs of annotators; D_U the mean over the A (A - 1) pairs of different ones;
U the mean d(s, s') over the S (S - 1) pairs of different samples; and M the mean d(s, s') of an estimator, in which the
estimators differ. `distances` computes all distances once per image; each estimator combines them.

What the best model gets: annotators are a sample of the readers there might be. A model that knows the distribution of
readers, but not the A readings it is judged by, has E C = E U = E D_U, while D = (1 - 1/A) D_U. So its GED^2 is not 0:
without a bias on its own side it is D_U / A, and with n independent samples D_U / A + D_U / n.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segunc.masks import pairwise_iou

__all__ = [
    "SIZES",
    "Distances",
    "annotator_distance",
    "coupling_gain",
    "distances",
    "diversity",
    "study_estimator",
    "u_statistic",
    "v_statistic",
]

SIZES = (1, 4, 8, 16, 64)
"""Numbers of samples n for which the distance is reported."""
STUDY_SIZE = 16
"""Samples in the study, and in published values of the diversity."""


class Distances(NamedTuple):
    """The distances d = 1 - IoU of one image that all estimators are made from."""

    cross: NDArray[np.float64]
    """(S, A): between every sample and every annotation."""
    between_samples: NDArray[np.float64]
    """(S, S): between every two samples; 0 on the diagonal."""
    between_annotators: NDArray[np.float64]
    """(A, A): between every two annotations; 0 on the diagonal."""
    exact: bool
    """Whether the S samples are the whole distribution, each outcome equally often."""


def distances(samples: NDArray, annotations: NDArray, *, exact: bool) -> Distances:
    """The distances between samples, between annotations, and between both.

    Parameters
    ----------
    samples
        (S, H, W), bool or {0, 1}: masks sampled from the model, S >= 1.
    annotations
        (A, H, W), bool or {0, 1}: the existing masks of all annotators.
    exact
        Whether the samples are the whole distribution, each outcome equally often; else they are independent.

    Raises
    ------
    ValueError
        If S is 0.

    Examples
    --------
    >>> left, right = np.array([[1, 0]]), np.array([[0, 1]])
    >>> found = distances(left[None], np.stack([left, right]), exact=True)
    >>> found.cross.tolist(), found.between_samples.tolist(), found.between_annotators.tolist()
    ([[0.0, 1.0]], [[0.0]], [[0.0, 1.0], [1.0, 0.0]])
    """
    count = len(samples)
    if count == 0:
        raise ValueError("there is no sample to compare with the annotations")
    masks = np.concatenate([samples, annotations])
    every = 1 - pairwise_iou(masks, masks)
    return Distances(every[:count, count:], every[:count, :count], every[count:, count:], exact)


def v_statistic(distances: Distances, n: int) -> float:
    """V-statistic of n samples: 2 C - M - D, where M is the mean over all n^2 pairs, equal indices included.

    M is its exact mean over all subsets of n of the S samples: (1 - 1/n) U. As that is unbiased for n new samples,
    independent samples give it for n > S as well. Exact samples are no more than S outcomes: for n >= S, M is the mean
    over all S^2 pairs.

    Parameters
    ----------
    distances
        Of one image.
    n
        Number of samples, at least 1.

    Returns
    -------
    float
        In [0, 2] if n <= S; extrapolated to n > S at least 1/n - 1/S. NaN for one independent sample and n > 1.

    Examples
    --------
    >>> left, right = np.array([[1, 0]]), np.array([[0, 1]])
    >>> both = np.stack([left, right])
    >>> v_statistic(distances(left[None], both, exact=True), n=16)
    0.5
    >>> v_statistic(distances(both, both, exact=True), n=16)
    0.0
    >>> v_statistic(distances(both, both, exact=False), n=4)
    -0.25
    """
    return float(2 * distances.cross.mean() - _within(distances, n) - distances.between_annotators.mean())


def u_statistic(distances: Distances) -> float:
    """U-statistic: 2 C - U - D, the limit of the V-statistic for many samples, without bias.

    Exact samples have no sampling error to correct, so there M is the mean over all S^2 pairs.

    Returns
    -------
    float
        In [-1/S, 2], or in [0, 2] for exact samples. NaN for one independent sample.

    Examples
    --------
    >>> left, right = np.array([[1, 0]]), np.array([[0, 1]])
    >>> both = np.stack([left, right])
    >>> u_statistic(distances(both, both, exact=True)), u_statistic(distances(both, both, exact=False))
    (0.0, -0.5)
    """
    return float(2 * distances.cross.mean() - _unbiased(distances) - distances.between_annotators.mean())


def study_estimator(distances: Distances) -> float:
    """The estimator of Czolbe et al. 2021 in expectation, for comparison with published numbers only.

    It draws n = 16 samples and n annotators with replacement and takes all n^2 pairs of each, which leaves 1 - 1/n of
    U and of D.

    Returns
    -------
    float
        In [-7/16, 2]; not negative for exact samples or S >= 16. NaN for one independent sample.

    Examples
    --------
    >>> left, right = np.array([[1, 0]]), np.array([[0, 1]])
    >>> both = np.stack([left, right])
    >>> study_estimator(distances(both, both, exact=True))
    0.0625
    """
    both = _unbiased(distances) + distances.between_annotators.mean()
    return float(2 * distances.cross.mean() - (1 - 1 / STUDY_SIZE) * both)


def diversity(distances: Distances) -> float:
    """Mean distance between two of 16 samples, equal indices included (Monteiro et al. 2020): M of the V-statistic.

    Returns
    -------
    float
        In [0, 15/16]; NaN for one independent sample. A model that knows the distribution of readers gets 15/16 D_U,
        or D_U if its samples are exact.

    Examples
    --------
    >>> left, right = np.array([[1, 0]]), np.array([[0, 1]])
    >>> diversity(distances(np.stack([left, right]), left[None], exact=True))
    0.5
    """
    return _within(distances, STUDY_SIZE)


def coupling_gain(samples: Distances, levels: Distances) -> float:
    """GED^2 of the samples minus that of the level sets of their mean: below 0, they say more than their mean.

    Both sides are the same draws in two forms, so the S samples count as the whole distribution: M is the mean over all
    S^2 pairs. Corrected for their number (U), the samples would win where there is nothing to win: with 16 nested ones
    that are certain of each pixel, the level sets of the mean are the samples themselves, and the difference would be
    -U/16 instead of 0. Where the mean varies less than the samples do, the value is up to U/S too high, so it errs on
    the side of the level sets. Exact samples have no such error.

    Parameters
    ----------
    samples
        Of one image, between the samples and the annotations.
    levels
        Of the same image, between the level sets of the mean probability and the annotations.

    Returns
    -------
    float
        In [-2, 2].

    Examples
    --------
    The readers mark the left or the right, never both. The mean is the same everywhere, so its level sets are both or
    nothing:

    >>> left, right = np.array([[1, 0]]), np.array([[0, 1]])
    >>> readers, levels = np.stack([left, right]), np.array([[[1, 1]], [[0, 0]]])
    >>> both = [distances(masks, readers, exact=True) for masks in (readers, levels)]
    >>> coupling_gain(*both)
    -0.5
    """
    gain = 2 * (samples.cross.mean() - levels.cross.mean())
    return float(gain - samples.between_samples.mean() + levels.between_samples.mean())


def annotator_distance(between_annotators: NDArray[np.float64]) -> float:
    """D_U, the mean distance between two different annotators, of which floors and targets are multiples.

    Parameters
    ----------
    between_annotators
        (A, A): as in `Distances`.

    Returns
    -------
    float
        In [0, 1]; NaN for one annotator.

    Examples
    --------
    >>> left, right = np.array([[1, 0]]), np.array([[0, 1]])
    >>> between = distances(left[None], np.stack([left, left, right]), exact=True).between_annotators
    >>> round(annotator_distance(between), 6)
    0.666667
    """
    return _mean_of_different(between_annotators)


def _within(distances: Distances, n: int) -> float:
    """M of the V-statistic of n samples."""
    between = distances.between_samples
    if n == 1:
        return 0.0
    if distances.exact and n >= len(between):
        return float(between.mean())
    return (1 - 1 / n) * _mean_of_different(between)


def _unbiased(distances: Distances) -> float:
    """M without the bias of equal indices, which exact samples do not have."""
    between = distances.between_samples
    return float(between.mean()) if distances.exact else _mean_of_different(between)


def _mean_of_different(between: NDArray[np.float64]) -> float:
    """Mean off the diagonal of a matrix (N, N) whose diagonal is 0; NaN if N = 1."""
    count = len(between)
    return float(between.sum()) / (count * (count - 1)) if count > 1 else float("nan")

"""Normalised cross-correlation (Pearson) of uncertainty and disagreement of the annotators, over the pixels."""

import numpy as np
from numpy.typing import NDArray

from segunc.metrics.uncertainty import entropy

__all__ = ["ncc", "s_ncc"]


def ncc(uncertainty: NDArray, annotations: NDArray) -> float:
    """Correlation of predicted entropy and the entropy of the annotators' votes (Kahl et al. 2024, ValUES).

    Parameters
    ----------
    uncertainty
        (H, W), any real values.
    annotations
        (A, H, W), bool or {0, 1}.

    Returns
    -------
    float
        In [-1, 1]; NaN if either map is constant, as it always is with one annotator.

    Examples
    --------
    >>> votes = np.array([[[0, 0, 1, 1]], [[0, 0, 0, 0]]])
    >>> ncc(np.array([[0, 0, 1, 1]]), votes), ncc(np.array([[0, 1, 0, 1]]), votes)
    (1.0, 0.0)
    """
    # There are few different entropies, one for each number of votes.
    by_votes = entropy(np.arange(len(annotations) + 1) / len(annotations))
    return _pearson(uncertainty, by_votes[annotations.sum(axis=0, dtype=np.uint16)])


def s_ncc(probability: NDArray, log_foreground: NDArray, log_background: NDArray, annotations: NDArray) -> float:
    """Correlation of the samples' spread with their distance to an annotation, averaged over the annotations.

    Spread and distance of a pixel are mean cross-entropies E_s CE(m, p_s) = -(m E_s log p_s + (1 - m) E_s log(1 - p_s))
    of the samples p_s, with m their mean, or m the annotation (Baumgartner et al. 2019, PHiSeg, `variance_ncc_dist`).

    Parameters
    ----------
    probability
        (H, W), float in [0, 1]: mean of the samples.
    log_foreground, log_background
        (H, W), float: E_s log p_s and E_s log(1 - p_s), in nats.
    annotations
        (A, H, W), bool or {0, 1}.

    Returns
    -------
    float
        In [-1, 1]; NaN if the spread is constant, or the distance to one of the annotations.

    Examples
    --------
    >>> p = np.array([[0.5, 0.5, 0.01, 0.01]])
    >>> round(s_ncc(p, np.log(p), np.log(1 - p), np.array([[[0, 1, 0, 0]]])), 6)
    1.0
    """
    m, of_foreground, of_background = probability.astype(np.float64), -log_foreground, -log_background
    spread = m * of_foreground + (1 - m) * of_background
    distances = (np.where(mask, of_foreground, of_background) for mask in annotations.astype(bool))
    return float(np.mean([_pearson(spread, distance) for distance in distances]))


def _pearson(x: NDArray, y: NDArray) -> float:
    """Pearson correlation of two maps; NaN if one is constant."""
    if x.min() == x.max() or y.min() == y.max():
        return float("nan")
    x, y = ((z - z.mean(dtype=np.float64)).reshape(-1) for z in (x, y))
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))

"""Scores of a foreground probability map."""

import numpy as np
from numpy.typing import NDArray

from segunc.masks import frequency

__all__ = ["CLIP", "brier", "brier_floor", "cross_entropy", "truth_rmse"]

CLIP = float(np.finfo(np.float32).eps)
"""Probabilities are clipped to [CLIP, 1 - CLIP] before the logarithm; about 1.2e-7."""


def cross_entropy(probability: NDArray, annotations: NDArray) -> float:
    """Cross-entropy, averaged over pixels and annotators: -mean(y log p + (1 - y) log(1 - p)).

    Parameters
    ----------
    probability
        p, (H, W), float in [0, 1]; clipped to [CLIP, 1 - CLIP].
    annotations
        y, (A, H, W), bool or {0, 1}.

    Returns
    -------
    float
        In nats, in [0, -log(CLIP)].

    Examples
    --------
    >>> round(cross_entropy(np.array([[0.5, 0.5]]), np.array([[[1, 0]], [[0, 0]]])), 6)
    0.693147
    """
    p = np.clip(probability.astype(np.float64), CLIP, 1 - CLIP)
    foreground = frequency(annotations)
    return float(-(foreground * np.log(p) + (1 - foreground) * np.log1p(-p)).mean())


def brier(probability: NDArray, annotations: NDArray) -> float:
    """Brier score, averaged over pixels and annotators: mean((p - y)^2) (Brier 1950).

    It is mean((p - f)^2) + `brier_floor`, with f the annotators' frequency of foreground at the pixel.

    Parameters
    ----------
    probability
        p, (H, W), float in [0, 1].
    annotations
        y, (A, H, W), bool or {0, 1}.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> round(brier(np.array([[0.2, 0.9]]), np.array([[[0, 1]], [[1, 1]]])), 6)
    0.175
    """
    return float(((probability - frequency(annotations)) ** 2).mean()) + brier_floor(annotations)


def brier_floor(annotations: NDArray) -> float:
    """The lowest Brier score that a map can have, that of the annotators' frequencies f: mean(f (1 - f)).

    Parameters
    ----------
    annotations
        (A, H, W), bool or {0, 1}.

    Returns
    -------
    float
        In [0, 1/4]; 0 if all annotators agree.

    Examples
    --------
    >>> brier_floor(np.array([[[0, 1]], [[1, 1]]]))
    0.125
    """
    f = frequency(annotations)
    return float((f * (1 - f)).mean())


def truth_rmse(probability: NDArray, truth: NDArray) -> float:
    """Root mean squared difference, over pixels, between the predicted and the true foreground probability.

    Parameters
    ----------
    probability
        (H, W), float in [0, 1].
    truth
        (H, W), float in [0, 1]: the probability that an annotator marks the pixel, which only phantoms know.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> truth_rmse(np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]]))
    0.25
    """
    return float(np.sqrt(np.mean((probability.astype(np.float64) - truth.astype(np.float64)) ** 2)))

"""Uncertainty as entropy in bits (log2), the groups of pixels to compare it on, and how well it detects errors."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["AGREEMENTS", "OUTCOMES", "agreements", "entropy", "error_auroc", "outcomes"]

OUTCOMES = {
    "tp": "true positive pixel",
    "fp": "false positive pixel",
    "fn": "false negative pixel",
    "tn": "true negative pixel",
}
"""Groups of pixels by outcome, and what a pixel of each is."""
AGREEMENTS = {
    "agree": "pixel on which all annotators agree",
    "somewhat": "pixel on which a minority of the annotators disagrees",
    "disagree": "pixel on which the annotators are split in halves",
}
"""Groups of pixels by agreement of the annotators, and what a pixel of each is."""


def entropy(probability: NDArray) -> NDArray[np.float64]:
    """Entropy of foreground probabilities, elementwise, with 0 log 0 = 0.

    Parameters
    ----------
    probability
        Any shape, float in [0, 1].

    Returns
    -------
    NDArray
        The same shape, float64: bits in [0, 1].

    Examples
    --------
    >>> entropy(np.array([0.1, 0.25, 0.5])).round(3).tolist()
    [0.469, 0.811, 1.0]
    """
    p = probability.astype(np.float64)
    return -_p_log2_p(p) - _p_log2_p(1 - p)


def _p_log2_p(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return p * np.log2(p, out=np.zeros_like(p), where=p > 0)


def outcomes(prediction: NDArray, annotations: NDArray) -> dict[str, NDArray[np.bool_]]:
    """Where the prediction is right or wrong, among the pixels on which all annotators agree.

    Parameters
    ----------
    prediction
        (H, W), bool or {0, 1}: the thresholded mean whose entropy is judged. A single sample would not do, as its
        errors are where the entropy is high by construction.
    annotations
        (A, H, W), bool or {0, 1}.

    Returns
    -------
    dict
        A bool map (H, W) for each of OUTCOMES. Pixels on which annotators disagree are in none.

    Examples
    --------
    >>> groups = outcomes(np.array([[1, 1, 0]]), np.array([[[1, 0, 0]], [[1, 0, 1]]]))
    >>> {name: int(pixels.sum()) for name, pixels in groups.items()}
    {'tp': 1, 'fp': 1, 'fn': 0, 'tn': 0}
    """
    predicted, foreground, background = prediction.astype(bool), annotations.all(axis=0), ~annotations.any(axis=0)
    return {
        "tp": predicted & foreground,
        "fp": predicted & background,
        "fn": ~predicted & foreground,
        "tn": ~predicted & background,
    }


def agreements(annotations: NDArray) -> dict[str, NDArray[np.bool_]]:
    """Where the annotators agree, by the entropy H in bits of their annotations at the pixel.

    Parameters
    ----------
    annotations
        (A, H, W), bool or {0, 1}.

    Returns
    -------
    dict
        A bool map (H, W) for each of AGREEMENTS: `agree` H = 0, `somewhat` 0 < H < 1 (such as 3 to 1), `disagree`
        H = 1 (a tie). Each pixel is in one of them.

    Examples
    --------
    >>> groups = agreements(np.array([[[1, 1, 0]], [[1, 0, 0]]]))
    >>> {name: int(pixels.sum()) for name, pixels in groups.items()}
    {'agree': 2, 'somewhat': 0, 'disagree': 1}
    """
    annotators = len(annotations)
    positive = annotations.sum(axis=0, dtype=np.int64)
    agree, disagree = (positive == 0) | (positive == annotators), 2 * positive == annotators
    return {"agree": agree, "somewhat": ~agree & ~disagree, "disagree": disagree}


def error_auroc(uncertainty: NDArray, prediction: NDArray, annotations: NDArray) -> float:
    """Area under the ROC curve of the uncertainty as a detector of errors.

    Most pixels of an image are far from any border and right, which a map that never looks at the image knows as well:
    `segunc.metrics.border` has the value of such maps, and selects the pixels on which they tell less.

    The probability that a wrong pair of pixel and annotator is more uncertain than a right one, where ties count one
    half (Mann-Whitney). Each annotator judges each pixel: it counts as wrong once for each annotator who contradicts
    it, and as right once for each other.

    Parameters
    ----------
    uncertainty
        (H, W), or (N,) for N selected pixels: any real values.
    prediction
        The same shape, bool or {0, 1}.
    annotations
        (A, H, W) or (A, N), bool or {0, 1}.

    Returns
    -------
    float
        In [0, 1]; NaN if no pair is wrong, or all are.

    Examples
    --------
    >>> error_auroc(np.array([[0.9, 0.1, 0.2]]), np.array([[1, 1, 0]]), np.array([[[0, 1, 0]]]))
    1.0
    """
    wrong_at = (annotations.astype(bool) != prediction.astype(bool)).sum(axis=0, dtype=np.uint16)
    wrong, pairs = int(wrong_at.sum()), annotations.size
    if wrong in (0, pairs):
        return float("nan")
    some = wrong_at > 0
    values, weights = uncertainty[some], wrong_at[some]
    order = np.argsort(values)
    ordered = np.sort(uncertainty, axis=None)
    # Twice the number of pixels that are less uncertain than each wrong one; ties, and itself, count one half.
    below = sum(np.searchsorted(ordered, values[order], side) for side in ("left", "right"))
    # Of all pairs of a wrong one and any other, those of two wrong ones count one half on average.
    twice = len(annotations) * int((weights[order] * below).sum()) - wrong**2
    return twice / 2 / (wrong * (pairs - wrong))

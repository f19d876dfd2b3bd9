"""Uncertainty as entropy in bits (log2), and whether it is high where it should be."""

import numpy as np
from numpy.typing import NDArray

OUTCOMES = ("tp", "fp", "fn", "tn")
AGREEMENTS = ("agree", "somewhat", "disagree")


def entropy(probability: NDArray) -> NDArray[np.float64]:
    """Entropy in bits of foreground probabilities in [0, 1], elementwise, with 0 log 0 = 0; values in [0, 1]."""
    p = probability.astype(np.float64)
    return -_p_log2_p(p) - _p_log2_p(1 - p)


def _p_log2_p(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return p * np.log2(p, out=np.zeros_like(p), where=p > 0)


def outcomes(prediction: NDArray, annotations: NDArray) -> dict[str, NDArray[np.bool_]]:
    """Where the prediction is right or wrong, on the pixels that all annotators see alike; the others are in no group.

    prediction: (H, W), the thresholded mean whose entropy is judged (not one sampled mask, which would make errors
    where the entropy is high by construction); annotations: (A, H, W); bool or {0, 1}.
    Returns a bool map (H, W) for each of OUTCOMES: true and false positives, false and true negatives.
    """
    predicted, marked, blank = prediction.astype(bool), annotations.all(axis=0), ~annotations.any(axis=0)
    return {
        "tp": predicted & marked,
        "fp": predicted & blank,
        "fn": ~predicted & marked,
        "tn": ~predicted & blank,
    }


def agreements(annotations: NDArray) -> dict[str, NDArray[np.bool_]]:
    """Where the annotators agree, by the entropy H in bits of their votes at the pixel.

    annotations: (A, H, W), bool or {0, 1}. Returns a bool map (H, W) for each of AGREEMENTS: `agree` H = 0,
    `somewhat` 0 < H < 1 (such as 3 to 1), `disagree` H = 1 (a tie).
    """
    annotators = len(annotations)
    votes = annotations.sum(axis=0, dtype=np.int64)
    agree, disagree = (votes == 0) | (votes == annotators), 2 * votes == annotators
    return {"agree": agree, "somewhat": ~agree & ~disagree, "disagree": disagree}


def error_auroc(uncertainty: NDArray, prediction: NDArray, annotations: NDArray) -> float:
    """Area under the ROC curve of the uncertainty as a detector of errors: the probability that a wrong
    pixel x annotator pair is more uncertain than a right one, ties counting one half (Mann-Whitney).

    uncertainty: (H, W), any real values; prediction: (H, W); annotations: (A, H, W); bool or {0, 1}. Each annotator
    judges each pixel, so a pixel is wrong as often as annotators contradict it and right for the others.
    Returns a value in [0, 1], NaN if no pair is wrong or all are.
    """
    wrong = (annotations.astype(bool) != prediction.astype(bool)).sum(axis=0).reshape(-1)
    right = len(annotations) - wrong
    if not wrong.any() or not right.any():
        return float("nan")
    order = np.argsort(uncertainty, axis=None)
    ordered = uncertainty.reshape(-1)[order]
    ties = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    wrong_at, right_at = np.add.reduceat(wrong[order], ties), np.add.reduceat(right[order], ties)
    right_below = np.cumsum(right_at) - right_at
    return float((wrong_at * (right_below + right_at / 2)).sum() / (wrong.sum() * right.sum()))

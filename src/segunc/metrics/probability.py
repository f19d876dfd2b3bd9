"""Scores of a foreground probability map."""

import numpy as np
from numpy.typing import NDArray

CLIP = float(np.finfo(np.float32).eps)
"""Probabilities are clipped to [CLIP, 1 - CLIP] before the logarithm, about 1.2e-7."""


def cross_entropy(probability: NDArray, annotations: NDArray) -> float:
    """Cross-entropy in nats, the mean over pixels and annotators: -mean(y log p + (1 - y) log(1 - p)).

    probability: p, (H, W) in [0, 1], clipped as CLIP says; annotations: y, (A, H, W), bool or {0, 1}.
    """
    p = np.clip(probability.astype(np.float64), CLIP, 1 - CLIP)
    marked = annotations.mean(axis=0, dtype=np.float64)
    return float(-(marked * np.log(p) + (1 - marked) * np.log1p(-p)).mean())


def truth_rmse(probability: NDArray, truth: NDArray) -> float:
    """Root mean squared difference over pixels of two maps (H, W) in [0, 1]: the predicted probability and the true
    probability that an annotator marks the pixel (known for phantoms only)."""
    return float(np.sqrt(np.mean((probability.astype(np.float64) - truth.astype(np.float64)) ** 2)))

"""Generalised energy distance between a model's masks and the annotators' (Székely and Rizzo 2013; Kohl et al. 2018).

GED^2 = 2 E d(s, a) - E d(s, s') - E d(a, a'), with d = 1 - IoU (empty masks as in `overlap`). The annotators are all
known, so their terms are exact means over all A and all A^2 pairs; only the model's side is a sample.
"""

import numpy as np
from numpy.typing import NDArray

from segunc.metrics.overlap import pairwise_iou

SIZES = (1, 4, 8, 16)
"""Numbers of draws n at which the study reports the distance."""


def energy_distances(samples: NDArray, annotations: NDArray, *, exact: bool) -> dict[str, float]:
    """All estimates of GED^2 for one image, and the sample diversity.

    samples: (S, H, W) masks drawn from the model, S a multiple of 16; annotations: (A, H, W), the existing masks of all
    annotators; bool or {0, 1}. exact: the S draws are the whole distribution, each outcome equally often.

    With C = mean d(s, a), D = mean d(a, a') over all A^2 pairs, and the model's own term M:

    - `ged_{n}`, V-statistic of n draws: 2 C - M_n - D, where M_n is the mean over all n^2 pairs, i = j included. It is
      never negative. To lose no draw, it is averaged over the S/n blocks of n consecutive draws. A perfect model
      whose draws are independent does not get 0 but D/n, for d(s_i, s_i) = 0 belongs to M_n.
    - `ged_u_16`, U-statistic: 2 C - M - D with M the mean over the S (S - 1) pairs i != j. Unbiased, so it
      may be negative; a perfect model gets 0 on average. Exact draws have no sampling error to correct, so there M
      is the mean over all pairs.
    - `ged_study_16`, what the study's estimator is in expectation: it draws n = 16 masks and n annotators with
      replacement and takes all n^2 pairs on both sides, which leaves 1 - 1/n of M and of D. A perfect model gets 2 D/n.
    - `diversity`: M_16 (the last term of the study's GED; sample diversity in Monteiro et al. 2020).

    Raises ValueError if S is no multiple of 16.
    """
    count, largest = len(samples), SIZES[-1]
    if count == 0 or count % largest:
        raise ValueError(f"there are {count} draws; their number must be a multiple of {largest}")
    cross = 2 * (1 - pairwise_iou(samples, annotations)).mean()
    between_annotators = (1 - pairwise_iou(annotations, annotations)).mean()
    between_samples = 1 - pairwise_iou(samples, samples)

    within_blocks = {n: _mean_within_blocks(between_samples, n) for n in SIZES}
    unbiased = between_samples.sum() / (count**2 if exact else count * (count - 1))
    scores = {f"ged_{n}": cross - within_blocks[n] - between_annotators for n in SIZES}
    scores[f"ged_u_{largest}"] = cross - unbiased - between_annotators
    scores[f"ged_study_{largest}"] = cross - (1 - 1 / largest) * (unbiased + between_annotators)
    scores["diversity"] = within_blocks[largest]
    return {name: float(value) for name, value in scores.items()}


def _mean_within_blocks(distances: NDArray[np.float64], n: int) -> float:
    """Mean over the n^2 pairs of each block of n consecutive draws, averaged over the blocks; distances: (S, S)."""
    blocks = len(distances) // n
    return float(np.einsum("bibj->", distances.reshape(blocks, n, blocks, n))) / (blocks * n**2)

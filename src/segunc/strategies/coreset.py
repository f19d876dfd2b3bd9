"""`coreset`: k-center greedy (Sener and Savarese 2018, algorithm 1).

Greedily minimises the largest distance of an image to its nearest labelled one. Distances are Euclidean, between the
features that the model returns: those of the U-Nets are their deepest ones, averaged over the image. Uncertainty plays
no part.
"""

import numpy as np
from numpy.typing import NDArray

from segunc.strategies import Pool, highest

NEEDS = "features"


def pick(pool: Pool, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """k times the image that is farthest from its nearest labelled or picked image."""
    assert pool.features is not None and pool.labelled_features is not None
    nearest = np.full(len(pool.features), np.inf)
    for centre in pool.labelled_features:
        nearest = np.minimum(nearest, np.linalg.norm(pool.features - centre, axis=1))
    picked = []
    for _ in range(k):
        picked.append(highest(nearest, 1, rng)[0])
        nearest = np.minimum(nearest, np.linalg.norm(pool.features - pool.features[picked[-1]], axis=1))
        # Never picked again, not even if only duplicates of picked images are left.
        nearest[picked[-1]] = -np.inf
    return np.array(picked)

"""`coreset`: images that leave none far from a labelled one (Sener and Savarese 2018, algorithm 1: k-center greedy).

Far is the Euclidean distance between the means of the network's deepest features. Uncertainty plays no part.
"""

import numpy as np
from numpy.typing import NDArray

from segunc.strategies import Pool, highest

NEEDS = "features"


def pick(pool: Pool, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """k times the image farthest from all that are labelled or picked."""
    assert pool.features is not None and pool.labelled_features is not None
    nearest = np.full(len(pool.features), np.inf)
    for centre in pool.labelled_features:
        nearest = np.minimum(nearest, np.linalg.norm(pool.features - centre, axis=1))
    picked = []
    for _ in range(k):
        picked.append(highest(nearest, 1, rng)[0])
        nearest = np.minimum(nearest, np.linalg.norm(pool.features - pool.features[picked[-1]], axis=1))
        # Never again, not even where only duplicates of picked images are left.
        nearest[picked[-1]] = -np.inf
    return np.array(picked)

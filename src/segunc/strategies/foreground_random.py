"""`foreground_random`: random with a preference for foreground (after nnActive's foreground-aware random,
arXiv:2511.19183).

Part of the picks is sampled in proportion to the foreground, the rest uniformly. A partial oracle: it knows the size of
the lesions in images that are not labelled yet.
"""

import numpy as np
from numpy.typing import NDArray

from segunc.strategies import Pool, highest

NEEDS = "annotations"


def pick(
    pool: Pool,
    k: int,
    rng: np.random.Generator,
    *,
    share: float = 0.66,  # fraction of the picks, 0 to 1, that is sampled in proportion to the foreground
) -> NDArray[np.int64]:
    """k positions, sampled without replacement.

    Images without foreground are picked only in the uniform part, or if no others are left.
    """
    assert pool.foreground is not None
    n = len(pool.foreground)
    # The positions of the largest weight / exponential noise are a sample in proportion to the weights, without
    # replacement (Efraimidis and Spirakis 2006).
    by_foreground = highest(pool.foreground / rng.exponential(size=n), round(share * k), rng)
    rest = np.setdiff1d(np.arange(n), by_foreground)
    return np.concatenate([by_foreground, rng.choice(rest, k - len(by_foreground), replace=False)])

"""`foreground_random`: random, but with more foreground (after nnActive's foreground-aware random, arXiv:2511.19183).

Part of the picks is drawn in proportion to the foreground, the rest uniformly. A partial oracle: it knows of images
that nobody has annotated yet how large their lesions are.
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
    share: float = 0.66,  # part of the picks, 0 to 1, that is drawn in proportion to the foreground
) -> NDArray[np.int64]:
    """k positions, drawn without replacement; of images without foreground, only uniformly or when no other is left."""
    assert pool.foreground is not None
    n = len(pool.foreground)
    # The largest weight / exponential noise is a draw in proportion to the weights, the next largest the next draw.
    by_foreground = highest(pool.foreground / rng.exponential(size=n), round(share * k), rng)
    rest = np.setdiff1d(np.arange(n), by_foreground)
    return np.concatenate([by_foreground, rng.choice(rest, k - len(by_foreground), replace=False)])

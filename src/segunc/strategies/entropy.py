"""`entropy`: largest predictive entropy, summed over the pixels, as in the study (Czolbe et al. 2021, section 4.5).

Uncertainty sampling by entropy: Settles 2009, section 3.1. The sum favours images with long boundaries, that is, large
lesions; `entropy_mean` corrects for the size.
"""

import numpy as np
from numpy.typing import NDArray

from segunc.strategies import Pool, highest

NEEDS = "uncertainty"


def pick(pool: Pool, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The k images with the largest sum of predictive entropy."""
    assert pool.predictive_entropy is not None
    return highest(pool.predictive_entropy.sum(axis=(1, 2), dtype=np.float64), k, rng)

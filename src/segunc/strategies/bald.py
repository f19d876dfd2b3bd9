"""`bald`: largest mutual information between label and network (Houlsby et al. 2011, eq. 2; Gal et al. 2017).

Entropy of the mean draw minus mean entropy of the draws, summed over the pixels as if they were independent. A network
whose draws are all the same, as the plain U-Net's, has none: there all images tie, and the picks are random.
"""

import numpy as np
from numpy.typing import NDArray

from segunc.strategies import Pool, highest

NEEDS = "uncertainty"


def pick(pool: Pool, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The k images with the largest sum of mutual information."""
    assert pool.mutual_information is not None
    return highest(pool.mutual_information.sum(axis=(1, 2), dtype=np.float64), k, rng)

"""`bald`: largest mutual information between label and weights (Houlsby et al. 2011, eq. 2; Gal et al. 2017).

Entropy of the mean sample minus mean entropy of the samples, summed over the pixels as if they were independent. For a
model whose samples are all the same, such as the plain U-Net, it is 0: all images tie, and the picks are random.
"""

import numpy as np
from numpy.typing import NDArray

from segunc.strategies import Pool, highest

NEEDS = "uncertainty"


def pick(pool: Pool, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The k images with the largest sum of mutual information."""
    assert pool.mutual_information is not None
    return highest(pool.mutual_information.sum(axis=(1, 2), dtype=np.float64), k, rng)

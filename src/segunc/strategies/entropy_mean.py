"""`entropy_mean`: largest predictive entropy, averaged over those pixels that are uncertain at all.

All images have one size, so that a mean over all pixels would rank them as the sum does. A mean over the uncertain
pixels takes out how many they are, and with that the size of the lesion.
"""

import numpy as np
from numpy.typing import NDArray

from segunc.strategies import Pool, highest

NEEDS = "uncertainty"


def pick(
    pool: Pool,
    k: int,
    rng: np.random.Generator,
    *,
    threshold: float = 0.05,  # entropy in bits above which a pixel is uncertain
) -> NDArray[np.int64]:
    """The k images with the largest mean over their pixels above the threshold; 0 for an image without any."""
    assert pool.predictive_entropy is not None
    uncertain = pool.predictive_entropy > threshold
    total = pool.predictive_entropy.sum(axis=(1, 2), where=uncertain, dtype=np.float64)
    return highest(total / uncertain.sum(axis=(1, 2)).clip(min=1), k, rng)

"""`entropy_mean`: largest predictive entropy, averaged over the uncertain pixels.

All images have the same size, so a mean over all pixels would rank them as the sum does. A mean over the uncertain
pixels does not depend on their number, and so hardly on the size of the lesion.
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
    threshold: float = 0.05,  # entropy in bits above which a pixel counts as uncertain
) -> NDArray[np.int64]:
    """The k images with the largest mean over their pixels above the threshold; 0 for an image without any."""
    assert pool.predictive_entropy is not None
    uncertain = pool.predictive_entropy > threshold
    total = pool.predictive_entropy.sum(axis=(1, 2), where=uncertain, dtype=np.float64)
    return highest(total / uncertain.sum(axis=(1, 2)).clip(min=1), k, rng)

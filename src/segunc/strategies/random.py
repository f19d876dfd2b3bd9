"""`random`: uniform sampling, the baseline of all other strategies."""

import numpy as np
from numpy.typing import NDArray

from segunc.strategies import Pool

NEEDS = "nothing"


def pick(pool: Pool, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """k positions, sampled without replacement."""
    return rng.choice(len(pool.patient_id), k, replace=False)

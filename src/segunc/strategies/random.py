"""`random`: every image is as likely as any other. What the other strategies have to beat."""

import numpy as np
from numpy.typing import NDArray

from segunc.strategies import Pool

NEEDS = "nothing"


def pick(pool: Pool, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """k positions, drawn without replacement."""
    return rng.choice(len(pool.patient_id), k, replace=False)

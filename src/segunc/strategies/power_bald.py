"""`power_bald`: BALD with noise, to avoid near-duplicates (Kirsch et al. 2023, arXiv:2106.12059).

Power acquisition: the k largest of log s + Gumbel(0, 1 / beta), which samples k images one after the other with
probability proportional to s^beta, where s is the score of `bald`. If all scores are 0, the picks are random.
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
    beta: float = 1.0,  # coldness, above 0: small is near random, large near `bald`
) -> NDArray[np.int64]:
    """k images; those without mutual information only if no others are left."""
    assert pool.mutual_information is not None
    score = pool.mutual_information.sum(axis=(1, 2), dtype=np.float64)
    with np.errstate(divide="ignore"):
        return highest(np.log(score) + rng.gumbel(scale=1 / beta, size=len(score)), k, rng)

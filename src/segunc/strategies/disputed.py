"""`disputed`: images with the most disputed pixels. An oracle: it reads the annotations that it requests.

A pixel is disputed if some but not all annotators mark it. The sum of an uncertainty map estimates this number, so this
strategy is what `entropy` and `bald` would pick with perfect knowledge of the annotators; like them, it favours large
lesions. `disagreement` does not.
"""

import numpy as np
from numpy.typing import NDArray

from segunc.strategies import Pool, highest

NEEDS = "annotations"


def pick(pool: Pool, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The k images with the most disputed pixels; with one annotator all tie, and the picks are random."""
    assert pool.disputed_pixels is not None
    return highest(pool.disputed_pixels, k, rng)

"""`disagreement`: images with the largest IoU distance between annotators. An oracle: it reads the annotations that it
requests.

It is a control, not a method: if uncertainty helps by finding ambiguous images, this strategy should help more. The IoU
distance is relative to the lesion, so lesions that only one or two annotators mark come first, whatever their size;
`disputed` counts pixels instead.
"""

import numpy as np
from numpy.typing import NDArray

from segunc.strategies import Pool, highest

NEEDS = "annotations"


def pick(pool: Pool, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The k images with the largest disagreement; with one annotator all tie, and the picks are random."""
    assert pool.disagreement is not None
    return highest(pool.disagreement, k, rng)

"""How close the best sample comes to an annotation, and the best annotation to a sample.

`d_max` rewards spread whether or not it is justified: masks that ignore the image can exceed a good model. It says
something only beside `d_max_sample`, which spread lowers.
"""

import numpy as np
from numpy.typing import NDArray

from segunc.metrics.ged import Distances
from segunc.metrics.matching import compared

__all__ = ["d_max", "d_max_sample"]


def d_max(distances: Distances) -> float:
    """Dice of the best sample for an annotation, averaged over the annotations (Rahman et al. 2023, arXiv:2304.04745).

    Parameters
    ----------
    distances
        Of one image. The samples are those of `segunc.metrics.matching.compared`.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> from segunc.metrics.ged import distances
    >>> left, both, none = np.array([[1, 0]]), np.array([[1, 1]]), np.array([[0, 0]])
    >>> round(d_max(distances(np.stack([left, none]), np.stack([left, both, none, none]), exact=True)), 6)
    0.916667
    """
    return float(_dice(distances).max(axis=0).mean())


def d_max_sample(distances: Distances) -> float:
    """Dice of the best annotation for a sample, averaged over the samples (ValUES, Kahl et al. 2024).

    Parameters
    ----------
    distances
        As in `d_max`.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> from segunc.metrics.ged import distances
    >>> left, both, none = np.array([[1, 0]]), np.array([[1, 1]]), np.array([[0, 0]])
    >>> round(d_max_sample(distances(np.stack([left, none]), both[None], exact=True)), 6)
    0.333333
    """
    return float(_dice(distances).max(axis=1).mean())


def _dice(distances: Distances) -> NDArray[np.float64]:
    overlap = compared(distances)
    return 2 * overlap / (1 + overlap)

"""Means over seeds, with Student's t intervals: a handful of independent runs is too few for a bootstrap.

The interval is about seeds alone (initial labelled set, picks, batches), not about the sampling of test patients.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

__all__ = ["SeedMean", "mean_over_seeds"]


class SeedMean(NamedTuple):
    """A mean over seeds with Student's t interval and test; interval and p are NaN with fewer than two seeds."""

    mean: float
    """NaN if no value is defined."""
    low: float
    high: float
    p: float
    """Two-sided, for a mean of 0; of paired differences, that of the paired t-test."""
    n: int
    """Defined values, of which the mean is taken."""


def mean_over_seeds(values: ArrayLike, confidence: float) -> SeedMean:
    """Mean of one value per seed, with Student's t interval and test.

    If all values are equal, the interval is this value, and p is 0, or 1 if the value is 0.

    Parameters
    ----------
    values
        (N,), float, one per seed; NaN where undefined (left out).
    confidence
        Level of the interval, in (0, 1).

    Examples
    --------
    >>> [round(value, 3) for value in mean_over_seeds([1.0, 2.0, 3.0, float("nan")], 0.95)]
    [2.0, -0.484, 4.484, 0.074, 3]
    >>> mean_over_seeds([0.5], 0.95)
    SeedMean(mean=0.5, low=nan, high=nan, p=nan, n=1)
    """
    array = np.asarray(values, dtype=np.float64)
    array = array[~np.isnan(array)]
    n, nan = len(array), float("nan")
    if n < 2:
        return SeedMean(float(array[0]) if n else nan, nan, nan, nan, n)
    mean, error = float(array.mean()), float(array.std(ddof=1) / np.sqrt(n))
    margin = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, n - 1)) if error else float(mean == 0)
    return SeedMean(mean, mean - margin, mean + margin, p, n)

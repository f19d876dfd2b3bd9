"""Means over seeds: with a handful of independent runs Student's t says how sure a mean is, and the bootstrap cannot.

The interval is about seeds alone (start set, picks, batches); that the test patients are a sample too is not in it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


class SeedMean(NamedTuple):
    """A mean over seeds with what Student's t says about it; interval and p are NaN with fewer than two seeds."""

    mean: float
    """NaN if no value is defined."""
    low: float
    high: float
    p: float
    """Two-sided, of the mean being 0; of paired differences it is the paired t-test's."""
    n: int
    """Values that are defined, of which the mean is taken."""


def mean_over_seeds(values: ArrayLike, confidence: float) -> SeedMean:
    """values: float (N,), one per seed, NaN where undefined (left out); confidence in (0, 1).

    If all values are the same, the interval is this value, and p is 0, or 1 if the value is 0.
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

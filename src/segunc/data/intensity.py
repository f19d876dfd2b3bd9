"""Mapping values of any range to the 256 grey levels of a store."""

import numpy as np
from numpy.typing import NDArray

from segunc.catalogue.option_types import Intensity


def to_bytes(values: NDArray, intensity: Intensity) -> NDArray[np.uint8]:
    """Values of any real type and shape, clipped to `intensity` and mapped to 0..255, rounded half up.

    `minmax` takes the smallest and the largest of the values themselves; if they are all the same, they become 0.
    Raises ValueError if a value is not finite, or if their range overflows a float64.
    """
    numbers = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        smallest, largest = numbers.min(), numbers.max()
        if not np.isfinite(largest - smallest):  # a NaN anywhere makes both NaN
            raise ValueError("not all values are finite numbers")
    low, high = (smallest, largest) if intensity == "minmax" else intensity
    share = (np.clip(numbers, low, high) - low) / (high - low if high > low else 1)
    return np.floor(255 * share + 0.5).astype(np.uint8)

"""Checks of the arrays that users pass: what is no mask, or no probability, is refused instead of scored.

The functions raise ValueError with one sentence. `axes` are the names of the dimensions, such as ("A", "H", "W").
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

SHOWN = 4
"""Values that a sentence lists."""


def masks(name: str, values: ArrayLike, axes: Sequence[str]) -> NDArray[np.bool_]:
    """Masks as bool: of bool or of integers that are 0 or 1.

    Examples
    --------
    >>> masks("prediction", [[0, 1]], ("H", "W")).tolist()
    [[False, True]]
    >>> masks("prediction", [[0, 255]], ("H", "W"))
    Traceback (most recent call last):
    ValueError: prediction has the values 0, 255, but a mask is bool or has only 0 and 1; pass prediction > 127.
    """
    array = _array(name, values, axes)
    if array.dtype.kind == "b":
        return array
    if array.dtype.kind not in "iu":
        raise ValueError(
            f"{name} has values of the type {array.dtype}, but a mask is bool or has only 0 and 1; threshold "
            f"probabilities first, as in {name} > 0.5."
        )
    found = np.unique(array)
    if not set(found.tolist()) <= {0, 1}:
        shown = ", ".join(map(str, found[:SHOWN])) + (", ..." if len(found) > SHOWN else "")
        half = 127 if set(found.tolist()) <= {0, 255} else "threshold"
        raise ValueError(
            f"{name} has the values {shown}, but a mask is bool or has only 0 and 1; pass {name} > {half}."
        )
    return array.astype(bool)


def probabilities(name: str, values: ArrayLike, axes: Sequence[str]) -> NDArray[np.floating]:
    """Foreground probabilities: floats in [0, 1].

    Examples
    --------
    >>> probabilities("p", [[0.5, 1.5]], ("H", "W"))
    Traceback (most recent call last):
    ValueError: p has values from 0.5 to 1.5, but probabilities are in [0, 1]; scale it, or apply the sigmoid to logits.
    """
    array = _array(name, values, axes)
    if array.dtype.kind != "f":
        raise ValueError(
            f"{name} has values of the type {array.dtype}, but probabilities are floats in [0, 1]; convert it, and "
            "divide values up to 255 by 255."
        )
    low, high = array.min(), array.max()
    if np.isnan(low):
        raise ValueError(f"{name} has NaN, but probabilities are in [0, 1]; replace it.")
    if low < 0 or high > 1:
        raise ValueError(
            f"{name} has values from {low:g} to {high:g}, but probabilities are in [0, 1]; scale it, or apply the "
            "sigmoid to logits."
        )
    return array


def finite(name: str, values: ArrayLike, axes: Sequence[str]) -> NDArray:
    """Finite real numbers, such as a map of uncertainty."""
    array = _array(name, values, axes)
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must have finite numbers, but has NaN, infinity or values of another type ({array.dtype}); "
            "replace them."
        )
    return array


def same_size(**arrays: NDArray) -> None:
    """Refuses arrays by name whose last two dimensions, height and width, differ."""
    (first, reference), *others = arrays.items()
    for name, array in others:
        if array.shape[-2:] != reference.shape[-2:]:
            raise ValueError(
                f"{name} has the height and width {array.shape[-2:]}, but {first} has {reference.shape[-2:]}; pass "
                "masks of one image."
            )


def _array(name: str, values: ArrayLike, axes: Sequence[str]) -> NDArray:
    array = np.asarray(values)
    if array.ndim != len(axes):
        hint = f"add the axis {axes[0]}, as in {name}[None]" if array.ndim == len(axes) - 1 else "reshape it"
        raise ValueError(f"{name} has the shape {array.shape}, but must be ({', '.join(axes)}); {hint}.")
    if array.size == 0:
        raise ValueError(f"{name} is empty, with the shape {array.shape}; pass at least one value per axis.")
    return array

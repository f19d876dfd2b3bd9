"""Error detection near borders, beside two maps that know nothing of a model's uncertainty.

Errors are near borders, and lesions near the centre of the image, so that the distance to either finds most wrong
pixels without any uncertainty. Within a band around all borders, an uncertainty has to tell more than that. A detector
is judged by `segunc.metrics.uncertainty.error_auroc`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

__all__ = ["band", "closeness_to_border", "closeness_to_centre"]


def band(prediction: NDArray, annotations: NDArray) -> NDArray[np.bool_]:
    """The pixels near a border of the prediction or of any annotation.

    Near is a distance of at most 3 pixels in an image of 64 x 64, in others of the shorter side / 21, rounded, and at
    least 1. The distance to the border of a mask is that to the nearest pixel of the other class.

    Parameters
    ----------
    prediction
        (H, W), bool or {0, 1}.
    annotations
        (A, H, W), bool or {0, 1}.

    Returns
    -------
    NDArray
        (H, W), bool; nowhere True if no mask has a border.

    Examples
    --------
    >>> band(np.array([[0, 0, 0, 1, 1, 1]]), np.array([[[0, 0, 1, 1, 1, 1]]])).astype(int).tolist()
    [[0, 1, 1, 1, 0, 0]]
    """
    masks = np.concatenate([prediction[None], annotations]).astype(bool)
    radius = max(1, round(min(prediction.shape) / 21))
    near = np.zeros(prediction.shape, bool)
    # The band is within `radius` of the masks, and the distances there are those in the whole image.
    rows, columns = np.flatnonzero(masks.any(axis=(0, 2))), np.flatnonzero(masks.any(axis=(0, 1)))
    window = _around(rows, radius + 1), _around(columns, radius + 1)
    for mask in masks[:, *window]:
        near[window] |= _distance_to_border(mask) <= radius
    return near


def closeness_to_border(prediction: NDArray) -> NDArray[np.float64]:
    """Minus the distance of each pixel to the predicted border, as a detector of errors.

    Parameters
    ----------
    prediction
        (H, W), bool or {0, 1}.

    Returns
    -------
    NDArray
        (H, W), float64, in pixels: at most -1. `closeness_to_centre` if the prediction has no border.

    Examples
    --------
    >>> closeness_to_border(np.array([[0, 0, 0, 1]])).tolist()
    [[-3.0, -2.0, -1.0, -1.0]]
    """
    distance = _distance_to_border(prediction.astype(bool))
    return closeness_to_centre(prediction.shape) if np.isinf(distance).all() else -distance


def closeness_to_centre(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Minus the distance of each pixel to the centre of the image: a detector that never looks at the image.

    Parameters
    ----------
    shape
        (H, W).

    Returns
    -------
    NDArray
        (H, W), float64, in pixels: at most 0.

    Examples
    --------
    >>> closeness_to_centre((1, 4)).tolist()
    [[-1.5, -0.5, -0.5, -1.5]]
    """
    height, width = shape
    rows, columns = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    return -np.hypot(rows[:, None], columns)


def _distance_to_border(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance of each pixel to the nearest of the other class, infinite if there is none."""
    if mask.all() or not mask.any():
        return np.full(mask.shape, np.inf)
    return distance_transform_edt(mask) + distance_transform_edt(~mask)


def _around(positions: NDArray[np.intp], margin: int) -> slice:
    """The part of an axis from the first to the last position, with a margin; empty if there is none."""
    return slice(max(int(positions[0]) - margin, 0), int(positions[-1]) + margin + 1) if len(positions) else slice(0)

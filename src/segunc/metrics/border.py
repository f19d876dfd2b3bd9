"""Error detection near borders, beside two maps that know nothing of a model's uncertainty.

Errors are near borders, and lesions near the centre of the image, so that the distance to either finds most wrong
pixels without any uncertainty. Within a band around all borders, an uncertainty has to tell more than that. A detector
is judged by `segunc.metrics.uncertainty.error_auroc`.
"""

import numpy as np
from numpy.typing import NDArray

from segunc.masks import window

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
    masks = np.concatenate([prediction[None].astype(bool), annotations.astype(bool)])
    radius = max(1, round(min(prediction.shape) / 21))
    # The band is within `radius` of the masks, and a border pixel has its neighbours of the other class around it.
    within = window(np.asarray(masks.any(axis=0)), margin=radius + 1)
    inside, outside = masks[:, *within], ~masks[:, *within]
    near = np.zeros(prediction.shape, bool)
    near[within] = ((inside & _dilated(outside, radius)) | (outside & _dilated(inside, radius))).any(axis=0)
    return near


def closeness_to_border(prediction: NDArray, pixels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Minus the distance of some pixels to the predicted border, as a detector of errors.

    Parameters
    ----------
    prediction
        (H, W), bool or {0, 1}.
    pixels
        (H, W), bool: N pixels.

    Returns
    -------
    NDArray
        (N,), float64, in pixels: at most -1. `closeness_to_centre` if the prediction has no border.

    Examples
    --------
    >>> closeness_to_border(np.array([[0, 0, 0, 1]]), np.array([[True, True, False, True]])).tolist()
    [-3.0, -2.0, -1.0]
    """
    # Imported where it is needed, because tables and figures only name the metrics.
    from scipy.ndimage import distance_transform_edt

    mask = prediction.astype(bool)
    if mask.all() or not mask.any():
        return closeness_to_centre(pixels)
    # The nearest pixels of the mask are in this part, and so are those around it.
    within = window(mask | pixels, margin=1)
    distance = distance_transform_edt(mask[within]) + distance_transform_edt(~mask[within])
    return -distance[pixels[within]]


def closeness_to_centre(pixels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Minus the distance of some pixels to the centre of the image: a detector that never looks at the image.

    Parameters
    ----------
    pixels
        (H, W), bool: N pixels.

    Returns
    -------
    NDArray
        (N,), float64, in pixels: at most 0.

    Examples
    --------
    >>> closeness_to_centre(np.array([[True, True, False, True]])).tolist()
    [-1.5, -0.5, -1.5]
    """
    height, width = pixels.shape
    rows, columns = np.nonzero(pixels)
    return -np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2)


def _dilated(masks: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """The pixels at a distance of at most `radius` from each of the masks, (N, H, W)."""
    _, height, width = masks.shape
    padded = np.pad(masks, ((0, 0), (radius, radius), (radius, radius)))
    found = np.zeros_like(masks)
    # A disk is made of rows, which are the longer the nearer they are to its centre.
    row, reach = padded[:, :, radius : radius + width].copy(), 0
    for up in range(radius, -1, -1):
        while (reach + 1) ** 2 + up**2 <= radius**2:
            reach += 1
            row |= padded[:, :, radius - reach :][:, :, :width] | padded[:, :, radius + reach :][:, :, :width]
        found |= row[:, radius - up :][:, :height] | row[:, radius + up :][:, :height]
    return found

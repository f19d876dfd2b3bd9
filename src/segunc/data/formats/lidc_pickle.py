"""LIDC-IDRI as the pickle of 2D crops that came with a PyTorch Probabilistic U-Net, `data_lidc.pickle`.

A dictionary with an entry per crop, 15,096 of them: `image`, 128x128 floats in [0, 1]; `masks`, those of four
annotators; `series_uid`, the CT series. The key of an entry is the image's id. There is no published split, and those
in use are mostly unseeded or split patients.

The file identifies series, not patients or nodules: the series counts as the patient, and all its crops as one group.
In LIDC-IDRI, 8 of 1,010 patients have two series, so such a patient may be in two splits; the file does not permit
anything better.

S. Knegt, github.com/stefanknegt/Probabilistic-Unet-Pytorch; Armato et al. 2011, "The Lung Image Database Consortium
(LIDC) and Image Database Resource Initiative (IDRI)".
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from segunc.data.archive import NO_NAME
from segunc.data.store import Dropped, ImageRecord
from segunc.data.unpickle import StoredArray, array, load
from segunc.runtime.errors import UserError

ANNOTATORS = 4


def read(
    *,
    pickle: Path,  # file `data_lidc.pickle`
) -> Iterator[ImageRecord | Dropped]:
    """Grey crops in the order of the file; those without foreground are dropped.

    Images become uint8, 255 times their value and rounded half up. Nothing in the pickle is executed
    (`segunc.data.unpickle`). Raises UserError if it is damaged, names code, or is not a dictionary of such crops.
    """
    try:
        file = pickle.open("rb")
    except OSError as error:
        raise UserError(f"{pickle} cannot be opened ({error.strerror}); put data_lidc.pickle there.") from None
    with file:
        crops = load(file, str(pickle))
        if not isinstance(crops, dict) or not crops:
            raise UserError(f"{pickle} contains a {type(crops).__name__} instead of crops; give data_lidc.pickle.")
        for key, crop in crops.items():
            yield _record(file, key, crop, f"{key[:80]!a} in {pickle}")


def _record(file: IO[bytes], key: str, crop: Any, what: str) -> ImageRecord | Dropped:
    if not isinstance(crop, dict) or not {"image", "masks", "series_uid"} <= crop.keys():
        raise UserError(f"{what} has no image, masks and series_uid; give data_lidc.pickle.")
    series = crop["series_uid"]
    if not isinstance(series, str) or any(NO_NAME.search(text) for text in (key, series)):
        raise UserError(f"{what} has a key or series_uid that is not readable text; rename it.")
    image = _image(file, crop["image"], what)
    masks = _masks(file, crop["masks"], image.shape, what)
    if not masks.any():
        return Dropped(key, "nobody marked anything")
    return ImageRecord(image[None], list(masks), image_id=key, group_id=series, patient_id=series)


def _image(file: IO[bytes], stored: Any, what: str) -> NDArray[np.uint8]:
    values = _array(file, stored, f"the image of {what}")
    if values.ndim != 2 or not values.size or values.dtype.kind != "f":
        raise UserError(f"the image of {what} is {_described(values)}, but must be floats (H, W); convert it.")
    if not (values.min() >= 0 and values.max() <= 1):  # also false for NaN
        raise UserError(f"the image of {what} has values that are not in [0, 1]; scale it.")
    return np.floor(values.astype(np.float64) * 255 + 0.5).astype(np.uint8)


def _masks(file: IO[bytes], stored: Any, shape: tuple[int, ...], what: str) -> NDArray[np.uint8]:
    """(4, H, W) of {0, 1}, from a list of arrays or one array."""
    masks = np.atleast_1d(_array(file, stored, f"masks of {what}")) if isinstance(stored, StoredArray) else stored
    if not isinstance(masks, list | tuple | np.ndarray) or len(masks) != ANNOTATORS:
        raise UserError(f"{what} does not have {ANNOTATORS} masks, one per annotator; add what is missing.")
    result = np.empty((ANNOTATORS, *shape), np.uint8)
    for annotator, mask in enumerate(masks):
        values = mask if isinstance(masks, np.ndarray) else _array(file, mask, f"mask {annotator} of {what}")
        if values.shape != shape:
            raise UserError(
                f"mask {annotator} of {what} is {_described(values)}, but its image has the shape {shape}; "
                "make them the same size."
            )
        top = values.max()
        if top not in (0, 1, 255) or not ((values == 0) | (values == top)).all():
            raise UserError(f"mask {annotator} of {what} has values other than 0 and 1 (or 0 and 255); threshold it.")
        result[annotator] = values != 0
    return result


def _array(file: IO[bytes], stored: Any, what: str) -> NDArray:
    if not isinstance(stored, StoredArray):
        raise UserError(f"{what} is not an array but a {type(stored).__name__}; give data_lidc.pickle.")
    try:
        return array(file, stored)
    except ValueError as error:
        raise UserError(f"{what} cannot be read ({error}); fetch the file again.") from None


def _described(values: NDArray) -> str:
    return f"an array of {values.dtype} with the shape {values.shape}"

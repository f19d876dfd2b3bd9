"""From the bytes of an image file to an array, or one sentence why not."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from segunc.errors import UserError

MODES = {1: ("L",), 3: ("RGB", "L", "P")}
"""Pillow modes that are taken, by channels wanted. Only exact conversions: no CMYK, alpha or 16 bit."""


def image(data: bytes, name: str, channels: int) -> NDArray[np.uint8]:
    """An 8-bit picture as uint8 (channels, H, W), turned as its EXIF orientation says.

    With 3 channels, grey and palette pictures become RGB. Raises UserError naming the file `name` if it is damaged
    or of another kind.
    """
    picture = _open(data, name)
    if picture.mode not in MODES[channels]:
        kind = {1: "8-bit grey (L)", 3: "8-bit RGB"}[channels]
        raise UserError(f"{name} has the colour mode {picture.mode}, but {kind} is needed; convert it.")
    pixels = np.array(picture if channels == 1 else picture.convert("RGB"))
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def mask(data: bytes, name: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A mask file as uint8 {0, 1} (H, W); its values may be {0, 1} or {0, 255}.

    Raises UserError naming the file `name` if it is damaged, of another size than the image's `shape` (H, W), or has
    any other value.
    """
    values = np.array(_open(data, name))
    if values.ndim != 2:
        raise UserError(f"{name} has several channels, but a mask is one grey channel of 0 and 255; convert it.")
    if values.shape != shape:
        raise UserError(
            f"{name} is {values.shape[1]}x{values.shape[0]} pixels, but its image is {shape[1]}x{shape[0]}; "
            "make them the same size."
        )
    found = np.unique(values)
    if not (np.isin(found, (0, 1)).all() or np.isin(found, (0, 255)).all()):
        some = ", ".join(str(value) for value in found[:4]) + (", ..." if len(found) > 4 else "")
        raise UserError(f"{name} has the values {some}, but a mask has only 0 and 255 (or 0 and 1); threshold it.")
    return (values > 0).astype(np.uint8)


def _open(data: bytes, name: str) -> Image.Image:
    """The decoded picture. Pillow raises many kinds of errors for damaged files; each means the same to the user."""
    try:
        picture = Image.open(io.BytesIO(data))
        picture.load()
        return ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise UserError(f"{name} cannot be read as an image ({error}); replace it.") from None

"""From the bytes of an image file to an array, or an error in one sentence.

A file is read if there is one right way to read it, and refused if it is ambiguous: masks of a picture with an EXIF
orientation may have been drawn before or after rotating it, CMYK has no defined colours without its profile,
transparent pixels may count or not, 16-bit values have no grey levels without a range, and of values that are stored
inverted (a TIFF in which 0 is white, a palette from white to black) some programs read the stored and some the shown
ones. Colour profiles are not applied.
"""

import io
import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import COLORMAP, PHOTOMETRIC_INTERPRETATION, PREFIXES, SAMPLEFORMAT, TiffImageFile

from segunc.catalogue.option_types import Intensity
from segunc.data.intensity import to_bytes
from segunc.runtime.errors import UserError

PICTURES = ("PNG", "JPEG", "TIFF", "BMP")
"""Accepted file formats, recognised by content."""
READABLE = ("L", "RGB", "P", "1", "I", "F", "I;16", "I;16B", "I;16L")
"""Accepted modes of Pillow, some of them only with a range of intensities."""
LARGEST = 2**26
"""Pixels of the largest picture that is decoded: more than dermatoscopes and X-ray detectors produce, and it still fits
in memory."""
ORIENTATION = 0x0112
"""EXIF tag: 1 is upright, 2 to 8 are rotated or mirrored."""
GREY_STEPS = {"1": 255, "L;2": 85, "L;4": 17}
"""Pillow scales 1, 2 and 4 bits to 0..255: by its name of what is stored, the shown value of a stored 1."""


def image(data: bytes, name: str, channels: int, intensity: Intensity | None = None) -> NDArray[np.uint8]:
    """A picture as uint8 (channels, H, W), 1 channel (grey) or 3 (RGB); an NPY array if `name` ends with `.npy`.

    Without `intensity`, 8-bit values are kept and others are refused. With it, all values are clipped to that range and
    mapped to 0..255, rounded half up. Grey becomes RGB, and RGB becomes grey if its channels are equal. An NPY
    array is (H, W), (H, W, C) or (C, H, W), C = 1 or 3.

    Raises UserError naming the file `name` if it is damaged, of another kind, or ambiguous.
    """
    if _is_array(name):
        values = _array(data, name)
        readable, kind = True, f"{values.dtype} values"
    else:
        picture = _open(data, name)
        values = _palette_image(picture, name) if picture.mode == "P" else np.array(picture)
        readable, kind = picture.mode in READABLE, f"the colour mode {picture.mode}"
    if channels == 1:
        values = _without_colours(values)
    if not readable or (values.ndim == 3 and channels == 1):
        raise UserError(f"{name} has {kind}, but {_wanted(channels)} is needed; convert it.")
    if intensity is not None:
        values = scaled(values, name, intensity)
    elif values.dtype != np.uint8:
        raise UserError(
            f"{name} has {kind}, but {_wanted(channels)} is needed; convert it, or set the option intensity where the "
            "format has one."
        )
    if values.ndim == 2:
        return np.repeat(values[None], channels, axis=0)
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def scaled(values: NDArray, name: str, intensity: Intensity) -> NDArray[np.uint8]:
    """Values mapped to 0..255 by `segunc.data.intensity`; UserError naming the file if that is not possible."""
    try:
        return to_bytes(values, intensity)
    except ValueError as error:
        raise UserError(f"{name} cannot be used, as {error}; replace them.") from None


def _wanted(channels: int) -> str:
    return "8-bit grey (L)" if channels == 1 else "8-bit RGB"


def mask(data: bytes, name: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A mask as uint8 {0, 1} (H, W); in the file it is {0, 1}, {0, 255} or, with 16 bits, {0, 65535}.

    A palette of greys is read as its greys, one of colours as its indices, which is how label tools use it.
    Raises UserError naming the file `name` if it is damaged, of another size than the image's `shape` (H, W), has any
    other value, or a palette whose indices and colours contradict each other.
    """
    values = labels(data, name, shape)
    if not _is_binary(values):
        found = np.unique(values)
        some = ", ".join(str(value) for value in found[:4]) + (", ..." if len(found) > 4 else "")
        raise UserError(f"{name} has the values {some}, but a mask has only 0 and 255 (or 0 and 1); threshold it.")
    return (values > 0).astype(np.uint8)


def labels(data: bytes, name: str, shape: tuple[int, int]) -> NDArray:
    """The values of a mask as they are in the file, (H, W).

    Raises UserError naming the file `name` if it is damaged, has colours, or another size than the image's `shape`.
    """
    values = _without_colours(_array(data, name) if _is_array(name) else _labels(data, name))
    if values.ndim != 2:
        raise UserError(f"{name} has several channels, but a mask is one grey channel of 0 and 255; convert it.")
    if values.shape != shape:
        raise UserError(
            f"{name} is {values.shape[1]}x{values.shape[0]} pixels, but its image is {shape[1]}x{shape[0]}; "
            "make them the same size."
        )
    return values


def _labels(data: bytes, name: str) -> NDArray:
    picture = _open(data, name)
    if picture.mode not in READABLE:
        raise UserError(f"{name} has the colour mode {picture.mode}, but a mask is grey with 0 and 255; convert it.")
    return _palette_mask(picture, name) if picture.mode == "P" else np.array(picture)


def _palette_mask(picture: Image.Image, name: str) -> NDArray[np.uint8]:
    """The greys of a picture with a palette, or its indices if it has colours.

    Raises UserError if a larger index is darker, or if its greys are another mask than its indices, or all the same.
    """
    indices, brightness = np.array(picture), np.array(picture.convert("L"))
    shown = _without_colours(np.array(picture.convert("RGB")))
    values = shown if shown.ndim == 2 else indices
    _, places = np.unique(indices, return_index=True)
    darker = (np.diff(brightness.ravel()[places].astype(int)) < 0).any()
    other = _is_binary(indices) and _is_binary(values) and ((indices > 0) != (values > 0)).any()
    lost = np.ptp(indices) and not np.ptp(values)
    if darker or other or lost:
        raise _contradictory(name)
    return values


def _palette_image(picture: Image.Image, name: str) -> NDArray[np.uint8]:
    """The colours of a picture with a palette, (H, W, 3), or (H, W) if all are greys.

    Raises UserError for greys from white to black in equal steps. Other greys may have any order: programs that reduce
    the number of colours sort them in one way or another, and the indices mean nothing.
    """
    indices = np.array(picture)
    shown = _without_colours(np.array(picture.convert("RGB")))
    steps = (1, *GREY_STEPS.values())
    if shown.ndim == 2 and np.ptp(indices) and any((255 - k * indices.astype(int) == shown).all() for k in steps):
        raise _contradictory(name)
    return shown


def _contradictory(name: str) -> UserError:
    return UserError(
        f"{name} has a palette whose colours contradict its indices, as from white to black, so that programs read "
        "opposite values; save it in grey without a palette, with 0 for black."
    )


def _is_binary(values: NDArray) -> bool:
    found = np.unique(values)
    return any(np.isin(found, (0, top)).all() for top in (1, 255, 65535))


def _without_colours(values: NDArray) -> NDArray:
    """(H, W) if all channels of (H, W, C) are equal; otherwise unchanged."""
    return values[..., 0] if values.ndim == 3 and (values == values[..., :1]).all() else values


def _is_array(name: str) -> bool:
    return name.lower().endswith(".npy")


def _array(data: bytes, name: str) -> NDArray:
    """Numbers (H, W) or (H, W, 3); nothing is unpickled."""
    with explained(name, "a NumPy array"):
        values = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    if values.dtype.kind not in "buif":
        raise UserError(f"{name} has {values.dtype} values, but integers or real numbers are needed; convert it.")
    shape = values.shape
    if values.ndim == 3 and shape[-1] not in (1, 3) and shape[0] in (1, 3):
        values = np.moveaxis(values, 0, -1)
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if not values.size or values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[-1] != 3):
        raise UserError(
            f"{name} has the shape {shape}, but must be (height, width), (height, width, channels) or "
            "(channels, height, width) with 1 or 3 channels; reshape it."
        )
    return values


def _open(data: bytes, name: str) -> Image.Image:
    """The decoded picture without an alpha channel."""
    with explained(name, "an image"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they do not name the file, and what matters is checked here
        try:
            picture = Image.open(io.BytesIO(data), formats=PICTURES)
        except Image.UnidentifiedImageError:
            if not data.startswith(tuple(PREFIXES)):
                raise
            raise UserError(
                f"{name} cannot be read as an image (a TIFF that is damaged or of an unusual kind); save it in 8-bit "
                "grey or RGB, with 0 for black (BlackIsZero)."
            ) from None
        if picture.width * picture.height > LARGEST:
            raise Image.DecompressionBombError(f"{picture.width}x{picture.height} pixels")
        # Pillow scales the pixels of few bits, but not the grey level that is transparent.
        if picture.mode in ("1", "L") and isinstance(grey := picture.info.get("transparency"), int):
            picture.info["transparency"] = min(255, grey * GREY_STEPS.get(_stored_as(picture), 1))
        _refuse_ambiguous(picture, data, name)
        picture.load()
        if _has_negatives(picture):
            raise UserError(f"{name} has negative 8-bit values; save it with 16 bits or as floats.")
        return _without_alpha(picture, name)


def _refuse_ambiguous(picture: ImageFile, data: bytes, name: str) -> None:
    """Raises UserError for what Pillow would decode although there is another way, or would decode wrongly.

    What the file stores is known only before its pixels are loaded.
    """
    pages = getattr(picture, "n_frames", 1)
    if pages > 1 and picture.format != "MPO":  # a JPEG followed by more pictures, as phones write it
        raise UserError(f"{name} has {pages} pages, but one is needed; save each as a file of its own.")
    # Pillow silently truncates these to their upper 8 bits.
    if any(f"{mode};16" in str(tile.args) for tile in picture.tile for mode in ("RGB", "RGBA", "RGBX", "LA")):
        raise UserError(f"{name} has several 16-bit channels, but colour images need 8 bits; convert it.")
    # Pillow takes 1 and 8 bits as shown and others as stored; a missing tag means 0 to it.
    if isinstance(picture, TiffImageFile) and picture.tag_v2.get(PHOTOMETRIC_INTERPRETATION, 0) == 0:
        raise UserError(
            f"{name} is a TIFF in which 0 is white (PhotometricInterpretation is WhiteIsZero or missing), so that "
            "programs read opposite values; save it with 0 for black (BlackIsZero)."
        )
    # Pillow divides the 16-bit colours of a TIFF's palette by 256, so that 8-bit ones become black.
    if isinstance(picture, TiffImageFile) and 0 < max(picture.tag_v2.get(COLORMAP, (0,))) < 256:
        raise UserError(f"{name} has a palette of 8-bit colours, where TIFF has 16 bits; save it as PNG.")
    # Pillow takes the pixels of a BMP with the palette 0, 255 or 0, 1, 2, ... for 1 or 8 bits, whatever they are.
    bits = int.from_bytes(data[24:26] if data[14:18] == b"\x0c\0\0\0" else data[28:30], "little")
    if picture.format == "BMP" and (picture.mode, bits) in {("1", 4), ("1", 8), ("L", 4)}:
        raise UserError(f"{name} has a short palette of greys, with which its pixels are misread; save it as PNG.")
    orientation = picture.getexif().get(ORIENTATION, 1)
    if orientation in range(2, 9):
        raise UserError(
            f"{name} has EXIF orientation {orientation}, and its masks may be drawn either way; "
            "rotate it to match its masks and remove the tag."
        )


def _stored_as(picture: ImageFile) -> str:
    """Pillow's name of how pixels are stored, such as `L;4`, before they are loaded."""
    arguments = picture.tile[0].args if picture.tile else ""
    return arguments if isinstance(arguments, str) else ""  # only PNG has nothing but the name


def _has_negatives(picture: ImageFile) -> bool:
    """Whether it has signed bytes below 0, which Pillow reads as 128..255."""
    signed = isinstance(picture, TiffImageFile) and picture.mode == "L" and picture.tag_v2.get(SAMPLEFORMAT) == (2,)
    return signed and int(np.array(picture).max()) > 127


def _without_alpha(picture: Image.Image, name: str) -> Image.Image:
    if not picture.has_transparency_data:
        return picture
    if picture.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise UserError(f"{name} has transparent pixels, which may or may not count; save it without transparency.")
    opaque = {"LA": "L", "La": "L", "RGBA": "RGB", "RGBa": "RGB", "PA": "P"}
    return picture.convert(opaque[picture.mode]) if picture.mode in opaque else picture


@contextmanager
def explained(name: str, what: str) -> Iterator[None]:
    """Turns errors into one sentence. For damaged files, Pillow and NumPy raise exceptions of nearly any type."""
    try:
        yield
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        size = str(error).rstrip(".")  # Pillow's own ends with a dot
        raise UserError(f"{name} is too large ({size}; at most {LARGEST} are read); shrink it.") from None
    except Image.UnidentifiedImageError:
        raise UserError(f"{name} cannot be read as an image (not a PNG, JPEG, TIFF or BMP); replace it.") from None
    except Exception as error:
        reason = textwrap.shorten(re.sub(r" object at 0x\w+", "", str(error)), 80) or type(error).__name__
        raise UserError(f"{name} cannot be read as {what} ({reason}); replace it.") from None

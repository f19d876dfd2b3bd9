"""From the bytes of a NIfTI file to an array, or an error in one sentence. nibabel reads the format."""

import gzip
import io
from typing import NamedTuple

import nibabel
import numpy as np
from numpy.typing import NDArray

from segunc.data.archive import LARGEST_MEMBER
from segunc.data.decode import explained
from segunc.runtime.errors import UserError

SUFFIXES = (".nii.gz", ".nii")
GZIP = b"\x1f\x8b"
MOST_GROWTH = 8
"""How many times LARGEST_MEMBER a compressed volume may unpack to."""


class Volume(NamedTuple):
    """The slices of a volume along its last axis."""

    slices: NDArray
    """(D, H, W): rows are the second axis of the file, as pictures have them. D is 1 for a file with two axes."""
    affine: NDArray[np.float64]
    """(4, 4): from positions in the file to millimetres."""


def read(data: bytes, name: str) -> Volume:
    """The numbers of a NIfTI file, with its scale and offset applied.

    Raises UserError naming the file `name` if it is damaged, has colours, or other than two or three axes.
    """
    with explained(name, "a NIfTI file"):
        unpacked = _unpacked(data, name) if data.startswith(GZIP) else data
        image = nibabel.Nifti1Image.from_bytes(unpacked)
        values, affine = np.asanyarray(image.dataobj), image.affine
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim == 2:
        values = values[..., None]
    if values.dtype.kind not in "buif" or values.ndim != 3 or not values.size:
        raise UserError(
            f"{name} has {values.dtype} values of the shape {values.shape}, but integers or real numbers of two or "
            "three axes are needed; convert it."
        )
    return Volume(values.T, affine)


def _unpacked(data: bytes, name: str) -> bytes:
    with gzip.open(io.BytesIO(data)) as file:
        unpacked = file.read(MOST_GROWTH * LARGEST_MEMBER + 1)
    if len(unpacked) > MOST_GROWTH * LARGEST_MEMBER:
        raise UserError(f"{name} unpacks to more than {MOST_GROWTH * LARGEST_MEMBER // 2**30} GiB; cut the volume.")
    return unpacked

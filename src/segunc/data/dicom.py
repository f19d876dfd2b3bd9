"""CT series as DICOM files: which files are the slices of which series, and the Hounsfield units of one slice."""

import io
import math
import re
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import DeflatedExplicitVRLittleEndian

from segunc.data.archive import NO_NAME, Files, listed
from segunc.data.roles import one_each
from segunc.runtime.errors import UserError

SUFFIX = re.compile(r"\.(dcm|dicom|dic|ima)$", re.IGNORECASE)
CANDIDATE = re.compile(rf"({SUFFIX.pattern}|(^|/)[^./]+$|\.\d+$)", re.IGNORECASE)
"""Names of files that may be DICOM: its suffixes, no suffix, or a UID as the name."""
TAGS = ["Modality", "PatientID", "SeriesInstanceUID", "SOPInstanceUID", "ImagePositionPatient"]
TOLERANCE = 0.01
"""Millimetres by which two positions of one slice may differ, because they are rounded when written."""
LARGEST = 1e6
"""Hounsfield units beyond those of any scanner."""
MOST_PIXELS = 2**24
"""Pixels of the largest image that is decoded; CT slices have 2**18, rarely 2**20."""
SPACING = (0.01, 100)
"""Plausible millimetres between pixels of a CT, from and to."""


class Slice(NamedTuple):
    name: str
    """The file."""
    z: float
    """Of ImagePositionPatient in mm; NaN where that is missing. It grows towards the head, and orders axial slices as
    their positions along the normal do, with a tilted gantry too."""


class Series(NamedTuple):
    patient_id: str
    slices: dict[str, Slice]
    """By SOP instance UID, in natural order of the files."""


class Image(NamedTuple):
    hounsfield: NDArray[np.float64]
    """(H, W); the smallest measured value where nothing was measured."""
    measured: NDArray[np.bool_]
    """(H, W): False where the file has padding (PixelPaddingValue, PixelPaddingRangeLimit), as outside the circle that
    the scanner sees."""
    spacing: tuple[float, float]
    """Millimetres between rows, and between columns."""


def ct_series(files: Files) -> dict[str, Series]:
    """The CT series among the files by series instance UID, in natural order of their first files.

    Only their headers are decoded; other modalities are left out. Identical files are one. Raises UserError if a file
    is damaged or no DICOM, if different ones have the same SOP instance UID, or a series has several patients.
    """
    found: dict[str, Series] = {}
    claims: dict[tuple[str, str], list[str]] = defaultdict(list)
    heights: dict[str, float] = {}
    for name in filter(CANDIDATE.search, files.names):
        if name.rpartition("/")[2].upper() == "DICOMDIR":
            continue
        data = files.read(name)
        if not SUFFIX.search(name) and data[128:132] != b"DICM":
            raise UserError(f"{name} is not a DICOM file; remove it.")
        modality, patient_id, series_uid, sop_uid, z = _header(data, name)
        if not (series_uid and sop_uid):
            raise UserError(f"{name} has no series or SOP instance UID; replace it.")
        if modality != "CT":
            continue
        if not patient_id:
            raise UserError(f"{name} has no PatientID, without which images cannot be split by patient; add it.")
        if NO_NAME.search(patient_id):
            raise UserError(f"{name} has the PatientID {patient_id[:80]!a}, which is not readable text; correct it.")
        series = found.setdefault(series_uid, Series(patient_id, {}))
        if series.patient_id != patient_id:
            raise UserError(
                f"{name} has the PatientID '{patient_id}', but other slices of its series have '{series.patient_id}'; "
                "correct it."
            )
        claims[series_uid, sop_uid].append(name)
        heights[name] = z
    for (series_uid, sop_uid), name in one_each(files, claims, of="SOP instance UID").items():
        found[series_uid].slices[sop_uid] = Slice(name, heights[name])
    return found


def find(series: Series, sop_uid: str, z: float) -> str | None:
    """SOP instance UID of the slice with this UID, else of the slice at this z (mm), else None.

    Raises UserError if there are several at this z.
    """
    if sop_uid in series.slices:
        return sop_uid
    there = {uid: slice_.name for uid, slice_ in series.slices.items() if abs(slice_.z - z) <= TOLERANCE}
    if len(there) > 1:
        raise UserError(
            f"{listed(there.values(), ' and ')} are at the same height as an outline that names none of them; keep the "
            "one that radiologists saw."
        )
    return next(iter(there), None)


def image(data: bytes, name: str) -> Image:
    """One slice in Hounsfield units.

    Raises UserError naming the file `name` if it is damaged, compressed in a way that cannot be decoded here, or not
    one grey image.
    """
    dataset = _dataset(data, name)
    try:
        if int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("NumberOfFrames") or 1) > MOST_PIXELS:
            raise ValueError(f"it has more than {MOST_PIXELS} pixels")
        shown = str(dataset.PhotometricInterpretation)
        pixels = dataset.pixel_array
        measured = ~_padding(dataset, pixels)
        slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
        rows, columns = (float(value) for value in dataset.PixelSpacing)
    except RuntimeError as error:  # there is no decoder for it, or all have failed
        raise UserError(
            f"{name} cannot be decoded ({_reason(error)}); decompress it, or install pylibjpeg with its plugins."
        ) from None
    except Exception as error:
        raise _damaged(name, error) from None
    if pixels.ndim != 2:
        raise UserError(f"{name} has pixels of shape {pixels.shape}, but a CT slice is one grey image; remove it.")
    if shown != "MONOCHROME2":
        raise UserError(
            f"{name} has the photometric interpretation {shown}, which can be read in two ways; convert it to "
            "MONOCHROME2."
        )
    hounsfield = pixels * slope + intercept
    if not np.abs(hounsfield).max() < LARGEST:  # false for NaN too
        raise UserError(
            f"{name} has RescaleSlope {slope} and RescaleIntercept {intercept}, which are not valid for CT; replace it."
        )
    if not all(SPACING[0] <= value <= SPACING[1] for value in (rows, columns)):
        raise UserError(
            f"{name} has the PixelSpacing {rows}, {columns}, outside the plausible range for CT "
            f"({SPACING[0]}-{SPACING[1]} mm); replace it."
        )
    if not measured.any():
        raise UserError(f"{name} has nothing but padding (PixelPaddingValue); remove it.")
    return Image(np.where(measured, hounsfield, hounsfield[measured].min()), measured, (rows, columns))


def _padding(dataset: pydicom.Dataset, pixels: NDArray) -> NDArray[np.bool_]:
    """Where stored values lie between PixelPaddingValue and PixelPaddingRangeLimit, or equal the former alone.

    The two are read in the pixels' own type: scanners write them without a sign although the pixels have one.
    """
    if dataset.get("PixelPaddingValue") is None:
        return np.zeros(pixels.shape, bool)
    one = int(dataset.PixelPaddingValue)
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = np.array([one, one if limit is None else int(limit)]).astype(pixels.dtype)
    return (ends.min() <= pixels) & (pixels <= ends.max())


def _header(data: bytes, name: str) -> tuple[str, str, str, str, float]:
    """Modality, PatientID, series and SOP instance UID ("" where missing), and z."""
    dataset = _dataset(data, name, stop_before_pixels=True, specific_tags=TAGS)
    try:
        modality, patient_id, series_uid, sop_uid = (str(dataset.get(tag, "") or "").strip() for tag in TAGS[:4])
        position = dataset.get("ImagePositionPatient") or [math.nan] * 3
        return modality, patient_id, series_uid, sop_uid, float(position[2])
    except Exception as error:
        raise _damaged(name, error) from None


def _dataset(data: bytes, name: str, **options: Any) -> pydicom.Dataset:
    if DeflatedExplicitVRLittleEndian.encode() in data:  # unpacks to any size
        raise UserError(f"{name} is a deflated DICOM file; store it uncompressed.")
    try:
        return pydicom.dcmread(io.BytesIO(data), **options)
    except Exception as error:
        raise _damaged(name, error) from None


def _damaged(name: str, error: Exception) -> UserError:
    """pydicom raises many types of errors for damaged files; all mean the same to the user."""
    return UserError(f"{name} cannot be read as a CT slice in DICOM ({_reason(error)}); replace it.")


def _reason(error: Exception) -> str:
    return re.split(r"\.\s|\n", str(error))[0].rstrip(".:") or type(error).__name__

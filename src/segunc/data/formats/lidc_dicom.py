"""LIDC-IDRI as TCIA distributes it: CT series as DICOM, and the radiologists' XML.

Files are recognised by content, so they may have any names and lie in any folders: an XML belongs to the series that it
names, an outline to the slice that it names, or otherwise to the one at its height (some XML names slices that no
longer exist). Chest x-rays, their XML (`IdriReadMessage`) and other modalities than CT are not used.

Each slice that a radiologist outlined becomes one image: a square around the nodule's centre, which is the middle of
the box of all its outlines, rounded down to a pixel. Every radiologist who read the scan has a mask, an empty one where
they outlined nothing. Its number is that of the reading session and does not identify a person; of more than four
sessions, the first four count. Slices are cut in their own plane, so a tilted gantry or missing slices in between do
not matter.

Ids are `<PatientID>/nodule-<n>/slice-<k>`: the nodules of a patient are counted from 0 by series instance UID and then
by the first z, row and column of their boxes, the slices of a nodule from 0 by z.

Armato et al. 2011, "The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative (IDRI)".
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt

from segunc.catalogue.option_types import Intensity
from segunc.data import dicom, lidc_xml
from segunc.data.archive import Files, listed, natural, open_files
from segunc.data.dicom import Image, Series
from segunc.data.intensity import to_bytes
from segunc.data.lidc_xml import SESSIONS, Markup, Outline, Reading
from segunc.data.roles import refuse_others
from segunc.data.store import Dropped, ImageRecord
from segunc.runtime.errors import UserError

XML = re.compile(r"\.xml$", re.IGNORECASE)
NEIGHBOUR = "another nodule in the crop is not marked"
SURPLUS = f"of more than {SESSIONS} reading sessions, only the first {SESSIONS} count"


def read(
    *,
    scans: Path,  # folder or archive `LIDC-IDRI` with the CT series as DICOM
    xml: Path | None = None,  # folder or archive with the radiologists' XML; null: it is among the scans
    spacing_mm: PositiveFloat | None = 0.5,  # millimetres per pixel to resample to, within slices; null: as scanned
    crop: PositiveInt = 128,  # side in pixels of the square around a nodule, after resampling
    intensity: Intensity = "minmax",  # values for black and white: [low, high] in HU, or minmax of each square
) -> Iterator[ImageRecord | Dropped]:
    """Grey images in natural order of patient, then by nodule and slice.

    What an incomplete download lacks is dropped and counted: outlined slices that are not there, and each CT series
    without XML as one entry. Slices with no outlined pixel in the square are dropped too, and those with nothing but
    padding in it. Beyond the edge of a slice and where it has padding, pixels have its smallest measured value;
    `minmax` takes the extremes of measured pixels.

    Remarks say where another nodule lies in the square, which is background there, and where sessions were left out.

    Raises UserError if a file is damaged, if files contradict each other, or if there is no XML or no CT at all.
    """
    with open_files(scans) as files, open_files(xml) if xml else nullcontext(files) as texts:
        markups = _markups(texts, xml or scans)
        _check_names(files, scans)
        if xml:
            _check_names(texts, xml)
        found = dicom.ct_series(files)
        if not found:
            raise UserError(f"{scans} has no CT series in DICOM; give the folder or archive that contains them.")
        for uid, series in found.items():
            if uid not in markups:
                yield Dropped(f"{series.patient_id}/{uid}", "CT series without XML")
        series_of = {uid: found.get(uid, Series(uid, {})) for uid in markups}
        nodules: Counter[str] = Counter()
        for uid in sorted(markups, key=lambda uid: (natural(series_of[uid].patient_id), natural(uid))):
            series, markup = series_of[uid], markups[uid]
            drawings = _drawings(markup, series, nodules[series.patient_id])
            nodules[series.patient_id] += len({drawing.group_id for drawing in drawings})
            for drawing in drawings:
                if drawing.file is None:
                    yield Dropped(
                        drawing.image_id, "slice that is not there" if series.slices else "XML without its CT series"
                    )
                    continue
                image = dicom.image(files.read(drawing.file), drawing.file)
                shape = (image.hounsfield.shape[0], image.hounsfield.shape[1])
                masks = [lidc_xml.mask(outlines, shape, markup.name) for outlines in drawing.outlines]
                others = [lidc_xml.mask(outlines, shape, markup.name) for outlines in _others(drawing, drawings)]
                remarks = [SURPLUS] if markup.surplus else []
                yield _square(drawing, image, masks, others, remarks, spacing_mm, crop, intensity)


class Drawing(NamedTuple):
    """All outlines of a nodule on one slice."""

    image_id: str
    group_id: str
    patient_id: str
    file: str | None
    """That of the slice; None if it is not there."""
    centre: tuple[int, int]
    """Row and column of the nodule's centre, the same for all its slices."""
    outlines: list[list[Outline]]
    """Per reading session; empty where it has none."""


def _check_names(files: Files, source: Path) -> None:
    used = {name for name in files.names if XML.search(name) or dicom.CANDIDATE.search(name)}
    refuse_others(files, used, "*.dcm and *.xml", source)


def _markups(files: Files, source: Path) -> dict[str, Markup]:
    """The radiologists' XML by series instance UID; of several files that say the same, the first."""
    found: dict[str, list[Markup]] = defaultdict(list)
    for name in filter(XML.search, files.names):
        if (markup := lidc_xml.parse(files.read(name), name)) is not None:
            found[markup.series_uid].append(markup)
    if not found:
        raise UserError(f"{source} has no XML of radiologists (LidcReadMessage); put it there, in any folder.")
    differing = [claims for claims in found.values() if not all(lidc_xml.same(claims[0], other) for other in claims)]
    if differing:
        groups = listed([listed([markup.name for markup in markups], " and ") for markups in differing])
        raise UserError(f"{groups} belong to one series, but differ; remove the outdated ones.")
    return {uid: markups[0] for uid, markups in found.items()}


def _drawings(markup: Markup, series: Series, first: int) -> list[Drawing]:
    """The outlined slices of a scan by nodule and z; nodules are counted from `first`."""
    drawings = []
    nodules = lidc_xml.nodules([_placed(reading, series) for reading in markup.readings])
    for number, nodule in enumerate(nodules, start=first):
        group = f"{series.patient_id}/nodule-{number}"
        row, column = (int(middle) for middle in lidc_xml.box(nodule)[:, 1:].sum(0) // 2)
        for k, z in enumerate(sorted({outline.z for reading in nodule for outline in reading.outlines})):
            outlines: list[list[Outline]] = [[] for _ in range(markup.sessions)]
            for reading in nodule:
                outlines[reading.session] += [outline for outline in reading.outlines if outline.z == z]
            slices = [series.slices[o.sop_uid] for o in chain(*outlines) if o.sop_uid in series.slices]
            file = slices[0].name if slices else None
            drawings.append(Drawing(f"{group}/slice-{k}", group, series.patient_id, file, (row, column), outlines))
    return drawings


def _others(drawing: Drawing, drawings: list[Drawing]) -> list[list[Outline]]:
    """What is outlined of other nodules on the same slice, per nodule and reading session."""
    return [
        outlines
        for other in drawings
        if other.file == drawing.file and other.group_id != drawing.group_id
        for outlines in filter(None, other.outlines)
    ]


def _placed(reading: Reading, series: Series) -> Reading:
    """The reading with UID and z of existing slices, because some UIDs in the XML are wrong and its z is rounded."""
    placed = []
    for outline in reading.outlines:
        uid = dicom.find(series, outline.sop_uid, outline.z)
        if uid is not None:
            z = series.slices[uid].z
            outline = outline._replace(sop_uid=uid, z=outline.z if math.isnan(z) else z)
        placed.append(outline)
    return reading._replace(outlines=placed)


def _square(
    drawing: Drawing,
    image: Image,
    masks: list[NDArray[np.uint8]],
    others: list[NDArray[np.uint8]],
    remarks: list[str],
    spacing_mm: float | None,
    size: int,
    intensity: Intensity,
) -> ImageRecord | Dropped:
    """The square around the nodule's centre; `others` are masks of other nodules."""
    steps = [1.0 if spacing_mm is None else spacing_mm / native for native in image.spacing]
    rows, columns = (
        _weights(length, centre, step, size)
        for length, centre, step in zip(image.hounsfield.shape, drawing.centre, steps, strict=True)
    )
    inside = np.outer(rows.any(1), columns.any(1))
    used = np.ix_(rows.any(0), columns.any(0))  # only the pixels that matter; the slice has many more
    rows, columns = rows[:, rows.any(0)], columns[:, columns.any(0)]

    def fit(pixels: NDArray) -> NDArray[np.float64]:
        return rows @ pixels[used].astype(np.float64) @ columns.T

    marked = [(fit(mask) >= 0.5).astype(np.uint8) for mask in masks]
    if not any(mask.any() for mask in marked):
        return Dropped(drawing.image_id, "no pixel of the square is outlined")
    measured = inside & (fit(~image.measured) == 0)
    if not measured.any():
        return Dropped(drawing.image_id, "no pixel of the square is measured")
    hounsfield = np.where(inside, fit(image.hounsfield), image.hounsfield.min())
    if intensity == "minmax":
        intensity = hounsfield[measured].min(), hounsfield[measured].max()
    if any(((fit(other) >= 0.5) & ~np.any(marked, axis=0)).any() for other in others):
        remarks = [*remarks, NEIGHBOUR]
    return ImageRecord(
        to_bytes(hounsfield, intensity)[None],
        marked,
        drawing.image_id,
        drawing.group_id,
        drawing.patient_id,
        remarks=remarks,
    )


def _weights(length: int, centre: int, step: float, size: int) -> NDArray[np.float64]:
    """(size, length): weights with which `length` pixels make `size` new ones, `step` apart around pixel `centre`.

    Linear interpolation, with a wider kernel when downsampling; at `step` 1, pixels are copied. A new pixel beyond the
    old ones has no weights.
    """
    at = centre + (np.arange(size) - size // 2) * step
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(length)) / max(step, 1))
    weights[(at < -0.5) | (at > length - 0.5)] = 0
    total = weights.sum(1, keepdims=True)
    return weights / np.where(total > 0, total, 1)

"""The radiologists' XML of LIDC-IDRI: who outlined which nodule, and the masks that the outlines enclose.

A `LidcReadMessage` contains up to four `readingSession`s, one per radiologist, with an `unblindedReadNodule` per
finding and in it a `roi` per outline. Findings of at least 3 mm are outlined, pixel by pixel; smaller ones and other
marks (`nonNodule`) are single points, which are left out. Armato et al. 2011, "The Lung Image Database Consortium
(LIDC) and Image Database Resource Initiative (IDRI)".
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from segunc.runtime.errors import UserError

LARGEST = 32 * 2**20
"""Bytes of the largest XML that is read; LIDC-IDRI's have less than a tenth of it."""
SESSIONS = 4
"""Radiologists who read a scan; one XML of LIDC-IDRI has twice as many sessions."""


class Outline(NamedTuple):
    """A closed line around a nodule, or around a hole in it, on one slice."""

    sop_uid: str
    """SOP instance UID of the slice."""
    z: float
    """The slice's z in mm, in the patient's coordinates."""
    hole: bool
    points: NDArray[np.int64]
    """(n, 2) of x and y in whole pixels, n > 1: the first pixels outside the nodule, also for a hole."""


class Reading(NamedTuple):
    """What one radiologist outlined as one nodule."""

    session: int
    outlines: Sequence[Outline]


class Markup(NamedTuple):
    """The content of one XML file."""

    name: str
    """The file."""
    series_uid: str
    sessions: int
    """Radiologists who read the scan, whether or not they found anything; at most `SESSIONS`, which are the first."""
    surplus: int
    """Further reading sessions, which are left out."""
    readings: list[Reading]


def parse(data: bytes, name: str) -> Markup | None:
    """The nodules of at least 3 mm in the XML file `name`; None if it is not a `LidcReadMessage`, as for chest x-rays.

    Document type declarations are refused, so there are no entities and no other file is opened. Raises UserError
    naming the file if it is damaged or breaks the layout above.
    """
    root = _tree(data, name)
    if root.tag != "LidcReadMessage":
        return None
    series_uid = root.findtext("ResponseHeader/SeriesInstanceUid", "").strip()
    if not series_uid:
        raise UserError(f"{name} has no SeriesInstanceUid; replace it.")
    sessions = root.findall("readingSession")
    kept = sessions[:SESSIONS]
    readings = []
    for number, session in enumerate(kept):
        for nodule in session.iterfind("unblindedReadNodule"):
            outlines = [_outline(roi, name) for roi in nodule.iterfind("roi") if len(roi.findall("edgeMap")) > 1]
            if outlines:
                readings.append(Reading(number, outlines))
    return Markup(name, series_uid, len(kept), len(sessions) - len(kept), readings)


def same(one: Markup, other: Markup) -> bool:
    """Whether two files say the same, in whatever words: a copy may differ in attributes, comments and layout."""
    return _content(one) == _content(other)


def _content(markup: Markup) -> tuple[str, int, int, list]:
    readings = [
        (reading.session, [(*outline[:3], outline.points.tolist()) for outline in reading.outlines])
        for reading in markup.readings
    ]
    return markup.series_uid, markup.sessions, markup.surplus, readings


def nodules(readings: Sequence[Reading]) -> list[list[Reading]]:
    """The readings of one scan in groups, one per nodule, ordered by the first z, y and x of their boxes.

    Readings of different radiologists belong to one nodule if their boxes overlap or touch, directly or through others
    (Kohl et al. 2019, arXiv:1905.13077).
    """
    if not readings:
        return []
    boxes = np.array([box([reading]) for reading in readings])
    first, last = boxes[:, 0], boxes[:, 1]
    session = np.array([reading.session for reading in readings])
    meet = (first[:, None] <= last[None]).all(-1)
    same = meet & meet.T & (session[:, None] != session[None])
    count, group = connected_components(same, directed=False)
    found = [[reading for reading, of in zip(readings, group, strict=True) if of == g] for g in range(count)]
    return sorted(found, key=lambda nodule: box(nodule)[0].tolist())


def box(readings: Iterable[Reading]) -> NDArray[np.float64]:
    """(2, 3): the first and the last z (mm), y and x (pixels) of all their outlines."""
    outlines = [outline for reading in readings for outline in reading.outlines]
    z = [outline.z for outline in outlines]
    points = np.concatenate([outline.points for outline in outlines])
    x, y = points.T
    return np.array([[min(z), y.min(), x.min()], [max(z), y.max(), x.max()]])


def mask(outlines: Iterable[Outline], shape: tuple[int, int], name: str) -> NDArray[np.uint8]:
    """The mask, {0, 1} of `shape` (H, W), that outlines on one slice enclose, without holes.

    Pixels on a line are outside, also on that of a hole. Raises UserError naming the XML file `name` if an outline
    leaves the image.
    """
    inside = np.zeros(shape, bool)
    for outline in sorted(outlines, key=lambda outline: outline.hole):
        x, y = outline.points.T
        if x.max() >= shape[1] or y.max() >= shape[0]:
            raise UserError(
                f"{name} has an outline up to x {x.max()}, y {y.max()}, but its image is {shape[1]}x{shape[0]} pixels; "
                "replace the XML or the image."
            )
        enclosed, line = _fill(x - x.min(), y - y.min())
        window = inside[y.min() : y.max() + 1, x.min() : x.max() + 1]
        if outline.hole:
            window &= ~(enclosed | line)
        else:
            window |= enclosed & ~line
    return inside.astype(np.uint8)


def _fill(x: NDArray[np.int64], y: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The pixels inside a polygon (even-odd rule), and those whose centre its line crosses.

    Both are (max(y) + 1, max(x) + 1). The first is undefined at pixels of the second.
    """
    inside = np.zeros((y.max() + 1, x.max() + 1), bool)
    line = np.zeros_like(inside)
    dx, dy = np.roll(x, -1) - x, np.roll(y, -1) - y
    steps = np.maximum(np.gcd(dx, dy), 1)
    for k in range(steps.max()):
        reached = k < steps
        line[(y + k * dy // steps)[reached], (x + k * dx // steps)[reached]] = True
    columns = np.arange(inside.shape[1])
    low, high = np.minimum(y, y + dy), np.maximum(y, y + dy)
    for row in range(inside.shape[0]):
        crossed = (low <= row) & (row < high)
        crossings = x[crossed] + (row - y[crossed]) * (dx[crossed] / dy[crossed])
        inside[row] = np.searchsorted(np.sort(crossings), columns) % 2 == 1
    return inside, line


def _outline(roi: Element, name: str) -> Outline:
    def refuse(tag: str, text: str, wanted: str) -> UserError:
        return UserError(f"{name} has an outline with the {tag} '{text[:40]}', but it must be {wanted}; replace it.")

    height = roi.findtext("imageZposition", "").strip()
    try:
        z = float(height)
    except ValueError:
        z = math.nan
    if not math.isfinite(z):
        raise refuse("imageZposition", height, "a number")
    inclusion = roi.findtext("inclusion", "").strip().upper()
    if inclusion not in ("TRUE", "FALSE"):
        raise refuse("inclusion", inclusion, "TRUE or FALSE")
    points = []
    for edge in roi.iterfind("edgeMap"):
        for axis in ("xCoord", "yCoord"):
            text = edge.findtext(axis, "").strip()
            if not re.fullmatch("[0-9]{1,5}", text):
                raise refuse(axis, text, "a whole number of pixels")
            points.append(int(text))
    sop_uid = roi.findtext("imageSOP_UID", "").strip()
    return Outline(sop_uid, z, inclusion == "FALSE", np.array(points, np.int64).reshape(-1, 2))


def _tree(data: bytes, name: str) -> Element:
    """The root element, with names stripped of their namespace and without attributes."""
    if len(data) > LARGEST:
        raise UserError(
            f"{name} is {len(data) / 2**20:.0f} MiB, but XML of at most {LARGEST // 2**20} is read; remove it."
        )

    def refuse(*_: object) -> None:
        raise UserError(f"{name} has a document type declaration, which radiologists' XML never has; remove it.")

    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda tag, _: builder.start(tag.rpartition(":")[2], {})
    parser.EndElementHandler = lambda tag: builder.end(tag.rpartition(":")[2])
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the last two for encodings that Python cannot read
        raise UserError(f"{name} cannot be read as XML ({error}); replace it.") from None
    return builder.close()

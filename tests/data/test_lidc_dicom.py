import os
import shutil
import zipfile
from fractions import Fraction
from itertools import takewhile
from pathlib import Path

import h5py
import numpy as np
import pydicom
import pytest
from helpers.raw_data import zipped
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLosslessSV1, RLELossless

from segunc.catalogue.options import options_of
from segunc.config.schema import FORMAT
from segunc.data import lidc_xml
from segunc.data.archive import open_files
from segunc.data.dicom import ct_series, find, image
from segunc.data.formats import lidc_dicom, lidc_slices
from segunc.data.intensity import to_bytes
from segunc.data.preparation import prepare
from segunc.data.store import Dropped, ImageRecord
from segunc.runtime.errors import UserError

SIDE = 64
RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 2000, (SIDE, SIDE), np.int16)


def write_slice(
    path: Path, z: float, *, series: str = "1.1", patient: str = "LIDC-IDRI-0001", pixels: np.ndarray = NOISE, **tags
) -> str:
    """A CT slice of 0.7 mm pixels; returns its SOP instance UID. A tag that is None is left out."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{series}.{abs(round(100 * z))}.{int(z < 0)}"
    dataset.SeriesInstanceUID = series
    dataset.PatientID = patient
    dataset.Modality = "CT"
    dataset.ImagePositionPatient = [-20, -20, z]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.7, 0.7]
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.PixelData = pixels.tobytes()
    for tag, value in tags.items():
        if value is None:
            delattr(dataset, tag)
        else:
            setattr(dataset, tag, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return str(dataset.SOPInstanceUID)


def ring(x: int, y: int, width: int = 6, height: int = 6) -> list[tuple[int, int]]:
    """The outline of a rectangle whose corner pixel is x, y: `(width - 2) * (height - 2)` pixels are inside."""
    right, bottom = x + width - 1, y + height - 1
    across, down = range(x, right), range(y, bottom)
    return (
        [(column, y) for column in across]
        + [(right, row) for row in down]
        + [(column + 1, bottom) for column in reversed(across)]
        + [(x, row + 1) for row in reversed(down)]
    )


def roi(z, sop: str, points, inclusion: str = "TRUE") -> str:
    edges = "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points)
    return (
        f"<roi><imageZposition>{z} </imageZposition><imageSOP_UID>{sop}</imageSOP_UID>"
        f"<inclusion>{inclusion}</inclusion>{edges}</roi>"
    )


def message(series: str, *sessions: list[list[str]], root: str = "LidcReadMessage") -> str:
    """The XML of reading sessions, each a list of nodules, each a list of `roi`s."""
    nodule = "<unblindedReadNodule><noduleID>1</noduleID>{}</unblindedReadNodule>"
    other = (
        "<nonNodule><imageZposition>1</imageZposition><locus><xCoord>1</xCoord><yCoord>1</yCoord></locus></nonNodule>"
    )
    inner = "".join(
        f"<readingSession>{''.join(nodule.format(''.join(rois)) for rois in session)}{other}</readingSession>"
        for session in sessions
    )
    head = f"<ResponseHeader><Version>1.8.1</Version><SeriesInstanceUid>{series}</SeriesInstanceUid></ResponseHeader>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} uid="1" xmlns="http://www.nih.gov">{head}{inner}</{root}>'


def sop(z: float, series: str = "1.1") -> str:
    return f"{series}.{abs(round(100 * z))}.{int(z < 0)}"


HEIGHTS = (-5.0, -2.5, 0.0, 2.5, 5.0)


@pytest.fixture
def scan(tmp_path) -> Path:
    """A scan of five slices with one nodule.

    The first radiologist outlined 16 pixels of it at z = -2.5 and 0, the second 36 at 0 and 2.5, the third marked
    something small, the fourth nothing.
    """
    folder = tmp_path / "LIDC-IDRI"
    for z in HEIGHTS:
        write_slice(folder / f"LIDC-IDRI-0001/study/series/{z}.dcm", z)
    write_markup(
        folder,
        [[roi(z, sop(z), ring(28, 30)) for z in (-2.5, 0.0)]],
        [[roi(f"{z:.6f}", sop(z), ring(30, 28, 8, 8)) for z in (0.0, 2.5)]],
        [[roi(0.0, sop(0.0), [(31, 31)])]],
        [],
    )
    return folder


def write_markup(folder: Path, *sessions, series: str = "1.1", name: str = "study/069.xml", **options) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(message(series, *sessions, **options), encoding="utf-8")


def read(folder: Path, **options) -> list[ImageRecord | Dropped]:
    return list(lidc_dicom.read(scans=folder, **{"spacing_mm": None, "crop": 32, **options}))


def assert_same(first: list, second: list) -> None:
    assert len(first) == len(second) > 0
    for a, b in zip(first, second, strict=True):
        assert type(a) is type(b) and a[-3:] == b[-3:]
        if isinstance(a, ImageRecord):
            np.testing.assert_array_equal(a.image, b.image)
            np.testing.assert_array_equal(np.array(a.masks), np.array(b.masks))


class TestRecords:
    def test_contents(self, scan):
        records = read(scan)
        assert [record.image_id for record in records] == [f"LIDC-IDRI-0001/nodule-0/slice-{k}" for k in range(3)]
        assert {(record.group_id, record.patient_id) for record in records} == {
            ("LIDC-IDRI-0001/nodule-0", "LIDC-IDRI-0001")
        }
        assert [[int(mask.sum()) for mask in record.masks] for record in records] == [
            [16, 0, 0, 0],
            [16, 36, 0, 0],
            [0, 36, 0, 0],
        ]
        for record in records:
            assert record.image.shape == (1, 32, 32) and record.image.dtype == np.uint8
            assert all(mask.shape == (32, 32) and mask.dtype == np.uint8 for mask in record.masks)

    def test_the_middle_of_the_box_is_the_middle_of_the_square(self, scan):
        # The box is x 28 to 37, y 28 to 35: its middle, rounded down, is pixel 32, 31.
        record = read(scan)[1]
        window = np.s_[31 - 16 : 31 + 16, 32 - 16 : 32 + 16]
        np.testing.assert_array_equal(record.image[0], to_bytes(NOISE[window], "minmax"))
        whole = np.zeros((SIDE, SIDE), np.uint8)
        whole[31:35, 29:33] = 1
        np.testing.assert_array_equal(record.masks[0], whole[window])

    def test_intensity_in_hounsfield_units(self, scan):
        record = read(scan, intensity=(-1000, 400))[1]
        expected = np.clip((NOISE[15:47, 16:48] - 1024.0 + 1000) / 1400, 0, 1) * 255
        np.testing.assert_array_equal(record.image[0], np.floor(expected + 0.5))

    def test_beyond_the_edge_is_the_smallest_value(self, scan):
        record = read(scan, crop=80, intensity=(-1024, 976))[1]
        inside = np.s_[40 - 31 : 40 - 31 + SIDE, 40 - 32 : 40 - 32 + SIDE]
        np.testing.assert_array_equal(record.image[0][inside], np.floor(NOISE / 2000 * 255 + 0.5))
        outside = np.ones((80, 80), bool)
        outside[inside] = False
        assert set(record.image[0][outside]) == {round(NOISE.min() / 2000 * 255)}
        assert [int(mask.sum()) for mask in record.masks] == [16, 36, 0, 0]

    def test_folder_and_zip_are_the_same(self, scan, tmp_path):
        entries = read(scan)
        assert_same(entries, read(zipped(scan)))
        for file in scan.rglob("*.xml"):
            (tmp_path / "annotations").mkdir()
            file.rename(tmp_path / "annotations" / "renamed.xml")
        assert_same(entries, read(scan, xml=tmp_path / "annotations"))

    def test_names_mean_nothing(self, scan):
        entries = read(scan)
        for number, file in enumerate(sorted(scan.rglob("*.dcm"), reverse=True)):
            target = scan / "Zwölf Schnitte 十二" / f"{number} a.{('DCM', 'ima', 'Dicom')[number % 3]}"
            target.parent.mkdir(exist_ok=True)
            file.rename(target)
        (scan / "study/069.xml").rename(scan / "study/069.XML")
        assert_same(entries, read(scan))
        for file in list(scan.rglob("* a.*")):
            file.rename(file.with_name(file.stem.replace(" ", "")))
        assert_same(entries, read(scan))

    def test_nodules_are_counted_by_series_and_position(self, scan):
        for z in (0.0, 2.5):
            write_slice(scan / f"b/{z}.dcm", z, series="1.10")
            write_slice(scan / f"c/{z}.dcm", z, series="1.9")
            write_slice(scan / f"a/{z}.dcm", z, series="1.2", patient="LIDC-IDRI-0010")
        nodules = [(0.0, 40, 30), (0.0, 10, 30), (2.5, 10, 2), (0.0, 40, 29)]
        write_markup(scan, [[roi(z, sop(z, "1.10"), ring(x, y))] for z, x, y in nodules], series="1.10", name="a.xml")
        write_markup(scan, [[roi(0.0, sop(0.0, "1.9"), ring(7, 7))]], series="1.9", name="b.xml")
        write_markup(scan, [[roi(0.0, sop(0.0, "1.2"), ring(4, 4))]], series="1.2", name="c.xml")
        records = read(scan, crop=8)
        assert [record.image_id for record in records] == [
            *(f"LIDC-IDRI-0001/nodule-0/slice-{k}" for k in range(3)),
            *(f"LIDC-IDRI-0001/nodule-{n}/slice-0" for n in range(1, 6)),
            "LIDC-IDRI-0010/nodule-0/slice-0",
        ]
        corners = [(7, 7), (40, 29), (10, 30), (40, 30), (10, 2), (4, 4)]
        for record, (x, y) in zip(records[3:], corners, strict=True):
            window = NOISE[y - 2 : y + 6, x - 2 : x + 6]  # the middle of the ring is pixel x + 2, y + 2
            np.testing.assert_array_equal(record.image[0], to_bytes(window, "minmax"))

    def test_other_modalities_and_chest_xrays_are_not_used(self, scan):
        entries = read(scan)
        write_slice(scan / "chest.dcm", 9, series="7.7", Modality="DX", PixelSpacing=None, ImagePositionPatient=None)
        write_markup(scan, [], series="7.7", name="chest.xml", root="IdriReadMessage")
        (scan / "notes.xml").write_text("<html><body/></html>")
        (scan / "nodule counts.csv").write_text("a,b")
        (scan / "DICOMDIR").write_bytes(b"something else")
        assert_same(entries, read(scan))

    def test_a_tilted_gantry_and_slices_missing_in_between_change_nothing(self, scan):
        entries = read(scan)
        for z in HEIGHTS:
            (scan / f"LIDC-IDRI-0001/study/series/{z}.dcm").unlink()
            if abs(z) < 5:
                write_slice(scan / f"{z}.dcm", z, ImageOrientationPatient=[1, 0, 0, 0, 0.94, -0.34])
        assert_same(entries, read(scan))

    def test_losslessly_compressed_slices(self, scan):
        entries = read(scan)
        for file in scan.rglob("*.dcm"):
            dataset = pydicom.dcmread(file)
            dataset.compress(RLELossless, generate_instance_uid=False)
            dataset.save_as(file)
        assert_same(entries, read(scan))

    @pytest.mark.parametrize(
        ("old", "new"), [("", ""), ('uid="1"', 'uid="2"'), ("><", ">\n <"), ("?>", "?><!-- a -->"), ("Version>", "v>")]
    )
    def test_xml_that_says_the_same_twice(self, scan, old, new):
        entries = read(scan)
        text = (scan / "study/069.xml").read_text("utf-8")
        (scan / "copy.xml").write_text(text.replace(old, new), "utf-8")
        assert_same(entries, read(scan))

    def test_copies_of_slices(self, scan):
        entries = read(scan)
        folder = scan / "LIDC-IDRI-0001/study/series"
        shutil.copytree(folder, scan / "backup")
        shutil.copy(folder / "0.0.dcm", folder / "0.0 (1).dcm")
        assert_same(entries, read(scan))

    def test_of_more_than_four_sessions_the_first_four_count(self, scan):
        sessions = [[[roi(0.0, sop(0.0), ring(10 + k, 30, width=5 + k))]] for k in range(8)]
        write_markup(scan, *sessions[:4])
        expected = read(scan)
        assert not any(record.remarks for record in expected)
        write_markup(scan, *sessions)
        found = read(scan)
        assert [list(record.remarks) for record in found] == [[lidc_dicom.SURPLUS]]
        assert_same([record._replace(remarks=[]) for record in found], expected)


class TestPadding:
    """Pixels that the scanner did not measure, here those of the upper half."""

    @pytest.fixture
    def padded(self, scan):
        def write(stored: int = -2000, **tags) -> list:
            pixels = NOISE.copy()
            pixels[:31] = stored
            pixels[0, 0] = -900  # the smallest measured value
            for z in HEIGHTS:
                path = scan / f"LIDC-IDRI-0001/study/series/{z}.dcm"
                write_slice(path, z, pixels=pixels)
                dataset = pydicom.dcmread(path)
                for name, (vr, value) in tags.items():
                    dataset.add_new(name, vr, value)
                dataset.save_as(path)
            return read(scan)

        return write

    @pytest.mark.parametrize(
        ("stored", "tags"),
        [
            (-2000, {"PixelPaddingValue": ("SS", -2000)}),
            (-2000, {"PixelPaddingValue": ("US", 63536)}),  # as in LIDC-IDRI
            (-2000, {"PixelPaddingValue": ("SS", -2000), "PixelPaddingRangeLimit": ("SS", -1000)}),
            (-1500, {"PixelPaddingValue": ("SS", -2000), "PixelPaddingRangeLimit": ("SS", -1000)}),
            (-1500, {"PixelPaddingValue": ("US", 64536), "PixelPaddingRangeLimit": ("US", 63536)}),
            (4095, {"PixelPaddingValue": ("SS", 4095)}),
        ],
    )
    def test_is_no_measurement(self, padded, stored, tags):
        for record in padded(stored, **tags):
            image = record.image[0]
            measured = NOISE[31 : 31 + 16, 32 - 16 : 32 + 16]
            np.testing.assert_array_equal(image[16:], to_bytes(measured, "minmax"))
            assert not image[:16].any()

    def test_has_the_smallest_measured_value(self, padded, scan):
        padded(PixelPaddingValue=("SS", -2000))
        record = read(scan, intensity=(-2924, 976))[1]
        assert set(record.image[0][:16].ravel()) == {round(1000 / 3900 * 255)}

    @pytest.mark.parametrize("tags", [{}, {"PixelPaddingValue": ("SS", -1999)}, {"PixelPaddingValue": ("SS", None)}])
    def test_is_what_the_file_calls_padding(self, padded, tags):
        assert (padded(**tags)[1].image[0][16:] >= 125).all()

    def test_after_resampling(self, padded, scan):
        """Pixels between measured ones and padding are no measurements either."""
        padded(PixelPaddingValue=("SS", -2000))
        image = read(scan, spacing_mm=0.3)[1].image[0]
        assert image.max() == 255 and image[17:].min() == 0 and not image[:14].any()

    def test_nothing_else(self, padded, scan):
        padded(-2000, PixelPaddingValue=("SS", -2000))
        assert all(isinstance(entry, ImageRecord) for entry in read(scan))
        write_markup(scan, [[roi(0.0, sop(0.0), ring(30, 8))]])
        assert read(scan, crop=8) == [("LIDC-IDRI-0001/nodule-0/slice-0", "no pixel of the square is measured")]


class TestNeighbours:
    def remarks(self, scan, x: int, y: int, *, z: float = 0.0, **options) -> list[bool]:
        """Whether each slice of the first nodule has a remark, when the fourth radiologist outlines another one."""
        sessions = [[[roi(0.0, sop(0.0), ring(20, 20)), roi(2.5, sop(2.5), ring(20, 20))]], [], []]
        write_markup(scan, *sessions, [[roi(z, sop(z), ring(x, y))]])
        records = [record for record in read(scan, **options) if record.group_id.endswith("nodule-0")]
        assert all(list(record.remarks) in ([], [lidc_dicom.NEIGHBOUR]) for record in records)
        return [bool(record.remarks) for record in records]

    def test_inside_the_square_on_the_same_slice(self, scan):
        assert self.remarks(scan, 30, 20) == [True, False]
        assert self.remarks(scan, 30, 20, z=2.5) == [False, True]
        assert self.remarks(scan, 30, 20, z=5.0) == [False, False]

    def test_beyond_the_square(self, scan):
        # The middle is pixel 22, 22, so the square ends at pixel 37; the first marked pixel is behind the outline.
        assert self.remarks(scan, 36, 20) == [True, False]
        assert self.remarks(scan, 37, 20) == [False, False]
        assert self.remarks(scan, 36, 20, spacing_mm=0.35) == [False, False]

    def test_the_same_nodule(self, scan):
        assert self.remarks(scan, 22, 20) == [False, False]

    def test_within_what_is_marked(self, scan):
        large, small = [roi(0.0, sop(0.0), ring(10, 10, 20, 20))], [roi(0.0, sop(0.0), ring(15, 15))]
        write_markup(scan, [large, small])
        first, second = read(scan)
        assert not first.remarks and list(second.remarks) == [lidc_dicom.NEIGHBOUR]


class TestResampling:
    def ramp(self, folder: Path, spacing) -> None:
        """A plane 40 + 8 x + 4 y, in which linear interpolation is exact."""
        rows, columns = np.mgrid[:SIDE, :SIDE]
        write_slice(folder / "0.dcm", 0.0, pixels=(40 + 8 * columns + 4 * rows).astype(np.int16), PixelSpacing=spacing)
        write_markup(folder, [[roi(0.0, sop(0.0), ring(20, 20, 24, 24))]])

    @pytest.mark.parametrize("spacing", [[0.7, 0.7], [0.5, 1.0], [0.3, 0.25], [0.1, 0.1]])
    def test_a_plane_stays_a_plane(self, tmp_path, spacing):
        self.ramp(tmp_path, spacing)
        low, high = -1024, -1024 + 8 * 255
        (record,) = read(tmp_path, spacing_mm=0.5, crop=16, intensity=(low, high))
        row, column = (31 + (np.arange(16) - 8) * 0.5 / native for native in spacing)
        away = (row[:, None] > 5) & (row[:, None] < 58) & (column > 5) & (column < 58)
        expected = (40 + 8 * column + 4 * row[:, None]) / 8
        # Where pixels become larger, the neighbourhood over which they are means is not always symmetric.
        tolerance = 1e-9 if min(spacing) >= 0.5 else 0.15
        assert away.any() and np.abs(record.image[0] - expected)[away].max() < 0.5 + tolerance

    @pytest.mark.parametrize("spacing", [[0.7, 0.7], [0.5, 1.0], [0.2, 0.25]])
    def test_areas_in_millimetres_stay(self, tmp_path, spacing):
        self.ramp(tmp_path, spacing)
        (record,) = read(tmp_path, spacing_mm=0.5, crop=64)
        assert record.masks[0].sum() * 0.25 == pytest.approx(22 * 22 * spacing[0] * spacing[1], rel=0.1)

    def test_the_own_spacing_changes_nothing(self, scan):
        assert_same(read(scan, spacing_mm=None), read(scan, spacing_mm=0.7))

    @pytest.mark.parametrize("spacing_mm", [0.13, 0.7, 1.9])
    def test_constant_slices_stay_constant_up_to_their_edge(self, tmp_path, spacing_mm):
        pixels = np.full((SIDE, SIDE), 724, np.int16)
        pixels[-1, -1] = 24
        write_slice(tmp_path / "0.dcm", 0.0, pixels=pixels)
        write_markup(tmp_path, [[roi(0.0, sop(0.0), ring(0, 0))]])
        (record,) = read(tmp_path, spacing_mm=spacing_mm, crop=80, intensity=(-1000, -300))
        at = 2 + (np.arange(80) - 40) * spacing_mm / 0.7  # pixels of the slice, of which the first begins at -0.5
        inside = at >= -0.5
        assert 0 < inside.sum() < 80
        near = inside & (at < 50)
        assert (record.image[0][near][:, near] == 255).all()
        assert (record.image[0][~inside] == 0).all() and (record.image[0][:, ~inside] == 0).all()

    def test_marks_smaller_than_a_pixel(self, scan):
        write_markup(scan, [[roi(0.0, sop(0.0), ring(28, 30, 3, 3))]])
        assert read(scan, spacing_mm=50.0) == [
            ("LIDC-IDRI-0001/nodule-0/slice-0", "no pixel of the square is outlined")
        ]


class TestNodules:
    def reading(self, session: int, x: int, y: int, *heights: float, side: int = 5) -> lidc_xml.Reading:
        outlines = [lidc_xml.Outline("", z, False, np.array(ring(x, y, side, side))) for z in heights]
        return lidc_xml.Reading(session, outlines)

    @pytest.mark.parametrize(
        ("second", "together"),
        [
            ((1, 14, 10, 0.0), True),  # their boxes share a column
            ((1, 15, 10, 0.0), False),
            ((1, 10, 14, 0.0), True),
            ((1, 10, 15, 0.0), False),
            ((1, 10, 10, 1.0, 2.0), False),
            ((1, 10, 10, -1.0, 1.0), True),  # around the slice of the first
            ((0, 10, 10, 0.0), False),  # by the same radiologist
        ],
    )
    def test_boxes(self, second, together):
        found = lidc_xml.nodules([self.reading(0, 10, 10, 0.0), self.reading(*second)])
        assert [len(nodule) for nodule in found] == ([2] if together else [1, 1])

    def test_through_others(self):
        left, middle, right = self.reading(0, 2, 2, 0.0), self.reading(1, 6, 2, 0.0), self.reading(0, 10, 2, 0.0)
        assert lidc_xml.nodules([left, right, middle]) == [[left, right, middle]]
        assert [len(nodule) for nodule in lidc_xml.nodules([left, right])] == [1, 1]

    def test_none(self):
        assert lidc_xml.nodules([]) == []

    def test_two_outlines_of_one_radiologist_in_one_nodule_are_one_mask(self, scan):
        left, right = [roi(0.0, sop(0.0), ring(20, 20))], [roi(0.0, sop(0.0), ring(26, 20))]
        write_markup(scan, [left, right], [[roi(0.0, sop(0.0), ring(20, 20, 12, 4))]])
        (record,) = read(scan)
        assert [int(mask.sum()) for mask in record.masks] == [32, 20]


def inside(points: list[tuple[int, int]], x: int, y: int) -> bool:
    """Even-odd rule for the centre of a pixel, in exact numbers; False on the line."""
    odd = False
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        on_line = (x1 - x0) * (y - y0) == (x - x0) * (y1 - y0)
        if on_line and min(x0, x1) <= x <= max(x0, x1) and min(y0, y1) <= y <= max(y0, y1):
            return False
        if (y0 <= y) != (y1 <= y) and x0 + Fraction((x1 - x0) * (y - y0), y1 - y0) < x:
            odd = not odd
    return odd


class TestMasks:
    def mask(self, *outlines, shape=(16, 20)) -> np.ndarray:
        outlined = [lidc_xml.Outline("", 0.0, hole, np.array(points)) for points, hole in outlines]
        return lidc_xml.mask(outlined, shape, "a.xml")

    @given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 15)), min_size=2, max_size=12))
    def test_is_what_the_definition_says(self, points):
        expected = [[inside(points, x, y) for x in range(20)] for y in range(16)]
        np.testing.assert_array_equal(self.mask((points, False)), expected)

    def test_pixels_of_the_outline_are_outside(self):
        mask = self.mask((ring(3, 4, 6, 5), False))
        assert mask.sum() == 12 and mask[5:8, 4:8].all()

    def test_a_hole_takes_its_outline_with_it(self):
        mask = self.mask((ring(6, 4, 4, 4), True), (ring(2, 1, 12, 10), False))
        assert mask.sum() == 80 - 16 and not mask[4:8, 6:10].any()

    def test_two_parts(self):
        assert self.mask((ring(0, 0), False), (ring(5, 5), False)).sum() == 32

    def test_at_the_edges_of_the_image(self):
        assert self.mask((ring(0, 0, 20, 16), False)).sum() == 18 * 14
        with pytest.raises(UserError, match=r"a.xml has an outline up to x 20, y 5, but its image is 20x16 pixels"):
            self.mask((ring(15, 0), False))

    def test_a_closed_outline_may_repeat_its_first_point(self):
        np.testing.assert_array_equal(self.mask((ring(3, 3), False)), self.mask(([*ring(3, 3), (3, 3)], False)))


class TestDropped:
    """What is left out, while the rest is read."""

    def test_an_outlined_slice_that_is_not_there(self, scan):
        records = read(scan)
        (scan / "LIDC-IDRI-0001/study/series/-2.5.dcm").unlink()
        dropped, *rest = read(scan)
        assert dropped == ("LIDC-IDRI-0001/nodule-0/slice-0", "slice that is not there")
        assert_same(rest, records[1:])

    def test_xml_without_its_series(self, scan):
        write_markup(scan, [[roi(z, sop(z, "9.9"), ring(1, 1)) for z in HEIGHTS[:2]]], series="9.9", name="x.xml")
        first, second, *records = read(scan)
        assert len(records) == 3 and all(isinstance(record, ImageRecord) for record in records)
        assert first == ("9.9/nodule-0/slice-0", "XML without its CT series")
        assert second == ("9.9/nodule-0/slice-1", "XML without its CT series")

    def test_a_series_without_xml(self, scan):
        write_slice(scan / "a.dcm", 0, series="5.5", patient="LIDC-IDRI-0002")
        write_slice(scan / "b.dcm", 1, series="5.5", patient="LIDC-IDRI-0002")
        dropped, *records = read(scan)
        assert dropped == ("LIDC-IDRI-0002/5.5", "CT series without XML") and len(records) == 3

    def test_outlines_around_nothing(self, scan):
        write_markup(scan, [[roi(0.0, sop(0.0), [(3, 3), (4, 4)]), roi(2.5, sop(2.5), ring(3, 3), "FALSE")]])
        assert [entry.reason for entry in read(scan)] == ["no pixel of the square is outlined"] * 2

    def test_points_are_no_outlines(self, scan):
        write_markup(scan, [[roi(0.0, sop(0.0), [(3, 3)])]])
        assert read(scan) == []
        write_markup(scan, [[roi(0.0, sop(0.0), ring(3, 3)), roi(2.5, sop(2.5), [(50, 50)])]])
        (record,) = read(scan)
        assert record.masks[0].sum() == 16


class TestSlicesAreFound:
    def test_by_height_if_the_uid_is_unknown(self, scan):
        records = read(scan)
        path = scan / "study/069.xml"
        path.write_text(path.read_text().replace("<imageSOP_UID>1.1", "<imageSOP_UID>8.8"))
        assert_same(records, read(scan))
        path.write_text(path.read_text().replace("-2.5 ", "-2.504 "))
        assert_same(records, read(scan))
        path.write_text(path.read_text().replace("-2.504 ", "-2.53 "))
        assert [isinstance(entry, Dropped) for entry in read(scan)] == [True, False, False]

    def test_by_uid_whatever_the_height(self, scan):
        records = read(scan)
        path = scan / "study/069.xml"
        path.write_text(path.read_text().replace("0.000000 ", "0.4 "))
        assert_same(records, read(scan))

    def test_by_uid_where_two_have_the_same_height(self, scan):
        other = scan / "another 0.dcm"
        write_slice(other, 0.0, SOPInstanceUID="1.1.5", pixels=NOISE[::-1].copy())
        write_markup(scan, [[roi(0.0, "1.1.5", ring(28, 28))]], [[roi(0.0, "1.1.5", ring(28, 28))]])
        (record,) = read(scan)
        np.testing.assert_array_equal(record.image[0], to_bytes(NOISE[::-1][14:46, 14:46], "minmax"))
        # Two radiologists who took either one for the slice still outlined the same slice.
        write_markup(scan, [[roi(0.0, "1.1.5", ring(28, 28))]], [[roi(0.0, sop(0.0), ring(28, 28))]])
        (record,) = read(scan)
        assert [int(mask.sum()) for mask in record.masks] == [16, 16]

    def test_by_height_where_there_are_two(self, scan):
        write_slice(scan / "another 0.dcm", 0.0, SOPInstanceUID="1.1.5", pixels=NOISE[::-1].copy())
        write_markup(scan, [[roi(0.0, "8.8", ring(28, 28))]])
        with pytest.raises(UserError, match=r"/0.0.dcm and another 0.dcm are at the same height as an outline that"):
            read(scan)

    def test_without_a_position(self, scan):
        records = read(scan)
        (scan / "LIDC-IDRI-0001/study/series/0.0.dcm").unlink()
        write_slice(scan / "new.dcm", 0.0, ImagePositionPatient=None)
        assert_same(records, read(scan))


def spoil_dicom(**tags):
    return lambda scan: write_slice(scan / "LIDC-IDRI-0001/study/series/0.0.dcm", 0.0, **tags)


def spoil_roi(z="0.0", points=((1, 1), (2, 2)), inclusion="TRUE"):
    return lambda scan: write_markup(scan, [[roi(z, sop(0.0), points, inclusion)]])


def write(name: str, content: str | bytes):
    return lambda scan: (scan / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def cut(keep: int):
    def spoil(scan):
        path = scan / "LIDC-IDRI-0001/study/series/0.0.dcm"
        path.write_bytes(path.read_bytes()[:keep])

    return spoil


def encapsulated(scan):
    path = scan / "LIDC-IDRI-0001/study/series/0.0.dcm"
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.PixelData = pydicom.encaps.encapsulate([b"no JPEG"])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)


def run_length_encoded_bomb(scan):
    """65535x65535 pixels in a few bytes, as far as its header says."""
    path = scan / "LIDC-IDRI-0001/study/series/0.0.dcm"
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.Rows = dataset.Columns = 65535
    dataset.save_as(path)


def deflated(scan):
    path = scan / "LIDC-IDRI-0001/study/series/0.0.dcm"
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(path)


def remove(pattern: str):
    def spoil(scan):
        for file in scan.rglob(pattern):
            file.unlink()

    return spoil


BOMB = "<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>"
TRUTH = message("1.1", [[roi(0.0, sop(0.0), ring(1, 1))]])

BAD = [
    # DICOM
    (cut(2000), r"^LIDC-IDRI-0001/study/series/0.0.dcm cannot be read as a CT slice in DICOM \("),
    (cut(600), r"^LIDC-IDRI-0001/study/series/0.0.dcm "),
    (cut(300), r"^LIDC-IDRI-0001/study/series/0.0.dcm "),
    (cut(100), r"^LIDC-IDRI-0001/study/series/0.0.dcm cannot be read as a CT slice in DICOM \("),
    (cut(0), r"^LIDC-IDRI-0001/study/series/0.0.dcm cannot be read as a CT slice in DICOM \("),
    (write("extra.dcm", "not an image"), r"^extra.dcm cannot be read as a CT slice in DICOM \("),
    (
        encapsulated,
        r"0.0.dcm cannot be decoded \(Unable to decompress 'JPEG Lossless.*\); decompress it, or install",
    ),
    (run_length_encoded_bomb, r"0.0.dcm cannot be read as a CT slice in DICOM \(it has more than 16777216 pixels\)"),
    (deflated, "0.0.dcm is a deflated DICOM file; store it uncompressed"),
    (spoil_dicom(PatientID=None), "0.0.dcm has no PatientID, without which"),
    (spoil_dicom(PatientID=""), "0.0.dcm has no PatientID, without which"),
    (spoil_dicom(PatientID="A\0B"), r"0.0.dcm has the PatientID 'A\\x00B', which is not readable text; correct it"),
    (spoil_dicom(patient="B"), "2.5.dcm has the PatientID 'LIDC-IDRI-0001', but other slices of its series have 'B'"),
    (
        spoil_dicom(SOPInstanceUID=sop(2.5)),
        "^[^ ]*/0.0.dcm and [^ ]*/2.5.dcm have the same SOP instance UID, but differ; keep one file per SOP instance",
    ),
    (
        lambda scan: [write_slice(scan / f"{k}.dcm", z, PatientName=f"{k}") for k, z in enumerate([0.0, 2.5, 0.0])],
        "^0.dcm and 2.dcm and .*/0.0.dcm, 1.dcm and .*/2.5.dcm have the same SOP instance UID, but differ; keep",
    ),
    (write("study/000001", "no preamble"), "^study/000001 is not a DICOM file; remove it"),
    (write("study/1.5.6", "no preamble"), "^study/1.5.6 is not a DICOM file; remove it"),
    (write("study/1.jpg", "a"), r"LIDC-IDRI has 1 file\(s\) other than \*.dcm and \*.xml, such as study/1.jpg; rename"),
    (write("LIDC-XML-only.zip", "a"), r"LIDC-IDRI has 1 .* such as LIDC-XML-only.zip; rename or remove them"),
    (spoil_dicom(PhotometricInterpretation="MONOCHROME1"), "photometric interpretation MONOCHROME1, which can be"),
    (spoil_dicom(PhotometricInterpretation="PALETTE COLOR"), "photometric interpretation PALETTE COLOR, which can be"),
    (
        spoil_dicom(pixels=np.full((SIDE, SIDE), 5, np.int16), PixelPaddingValue=5),
        r"0.0.dcm has nothing but padding \(PixelPaddingValue\); remove it",
    ),
    (spoil_dicom(SeriesInstanceUID=None), "0.0.dcm has no series or SOP instance UID"),
    (spoil_dicom(PixelSpacing=None), r"0.0.dcm cannot be read as a CT slice in DICOM \("),
    (
        spoil_dicom(PixelSpacing=[0, 0]),
        r"has the PixelSpacing 0.0, 0.0, outside the plausible range for CT \(0.01-100 mm\)",
    ),
    (spoil_dicom(RescaleSlope=None), r"0.0.dcm cannot be read as a CT slice in DICOM \("),
    (
        spoil_dicom(RescaleIntercept="NaN"),
        "0.0.dcm has RescaleSlope 1.0 and RescaleIntercept nan, which are not valid for CT",
    ),
    (spoil_dicom(RescaleSlope="1e300"), r"0.0.dcm has RescaleSlope 1e\+300 and RescaleIntercept"),
    (spoil_dicom(NumberOfFrames=2, Rows=32), r"0.0.dcm has pixels of shape \(2, 32, 64\), but a CT slice is one grey"),
    (spoil_dicom(pixels=NOISE[:32]), r"study/069.xml has an outline up to x 33, y 35, but its image is 64x32 pixels"),
    (remove("*.dcm"), "LIDC-IDRI has no CT series in DICOM; give the folder or archive that contains"),
    # XML
    (remove("*.xml"), r"LIDC-IDRI has no XML of radiologists \(LidcReadMessage\); put it there"),
    (remove("*.*"), r"LIDC-IDRI has no XML of radiologists \(LidcReadMessage\); put it there"),
    (write("a.xml", ""), "^a.xml cannot be read as XML"),
    (write("ä b.xml", TRUTH[:-9]), "^ä b.xml cannot be read as XML"),
    (write("a.xml", TRUTH.replace("</roi>", "", 1)), "^a.xml cannot be read as XML"),
    (write("a.xml", TRUTH.replace("UTF-8", "no-such-code")), "^a.xml cannot be read as XML"),
    (write("a.xml", TRUTH.replace("UTF-8", "big5")), "^a.xml cannot be read as XML"),
    (write("a.xml", TRUTH.encode().replace(b"1.8.1", b"\xff\xfe")), "^a.xml cannot be read as XML"),
    (write("a.xml", TRUTH.replace("?>\n", f"?>{BOMB}")), "^a.xml has a document type declaration, which"),
    (write("a.xml", "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>"), "^a.xml has a document type declaration, which"),
    (write("a.xml", TRUTH.replace("1.8.1", "&b;")), "^a.xml cannot be read as XML"),
    (write("a.xml", TRUTH), "^a.xml and study/069.xml belong to one series, but differ; remove the outdated ones"),
    (
        lambda scan: [write(f"{name}.xml", TRUTH.replace("<xCoord>2", f"<xCoord>{name}"))(scan) for name in "345"],
        "^3.xml and 4.xml and 5.xml and study/069.xml belong to one series, but differ; remove the outdated ones",
    ),
    (
        lambda scan: [
            write(f"{k}.xml", TRUTH.replace(">1.1<", f">{k % 2}<").replace("<xCoord>2", f"<xCoord>{k}"))(scan)
            for k in range(4)
        ],
        "^0.xml and 2.xml, 1.xml and 3.xml belong to one series, but differ; remove the outdated ones",
    ),
    (write("a.xml", TRUTH.replace("SeriesInst", "SeriousInst")), "^a.xml has no SeriesInstanceUid; replace it"),
    (spoil_roi(points=[(1, 1), ("NaN", 2)]), "with the xCoord 'NaN', but it must be a whole number of pixels"),
    (spoil_roi(points=[(1, 1), (2, -2)]), "study/069.xml has an outline with the yCoord '-2', but it must be a whole"),
    (spoil_roi(points=[(1, 1), (2, "1e2")]), "with the yCoord '1e2', but it must be a whole number of pixels"),
    (spoil_roi(points=[(1, 1), (2, "")]), "with the yCoord '', but it must be a whole number of pixels"),
    (spoil_roi(points=[(1, 1), (9**30, 2)]), r"with the xCoord '42391158275216203514294433201', but it must be a"),
    (spoil_roi(points=[(1, 1), (64, 2)]), "an outline up to x 64, y 2, but its image is 64x64 pixels; replace the XML"),
    (spoil_roi(z="nan"), "with the imageZposition 'nan', but it must be a number"),
    (spoil_roi(z="-inf"), "with the imageZposition '-inf', but it must be a number"),
    (spoil_roi(z=""), "with the imageZposition '', but it must be a number"),
    (spoil_roi(inclusion="MAYBE"), "with the inclusion 'MAYBE', but it must be TRUE or FALSE"),
]


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(("spoil", "sentence"), BAD, ids=[sentence for _, sentence in BAD])
def test_bad_input_gets_one_sentence(scan, spoil, sentence):
    spoil(scan)
    with pytest.raises(UserError, match=sentence) as caught:
        read(scan)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and ";" in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files(scan):
    path = scan / "LIDC-IDRI-0001/study/series/0.0.dcm"
    path.chmod(0)
    with pytest.raises(UserError, match=r"0.0.dcm cannot be read \(Permission denied\)"):
        read(scan)


def test_large_xml_is_refused(scan, monkeypatch):
    monkeypatch.setattr(lidc_xml, "LARGEST", 1000)
    with pytest.raises(UserError, match=r"study/069.xml is 0 MiB, but XML of at most 0 is read"):
        read(scan)


def test_deeply_nested_xml():
    assert lidc_xml.parse(b"<a>" * 10**5 + b"</a>" * 10**5, "a.xml") is None


def test_prefixes_and_encodings_do_not_matter():
    expected = lidc_xml.parse(TRUTH.encode(), "a.xml")
    prefixed = TRUTH.replace("</", "</n:").replace("<n", "<n:n").replace("xmlns", "xmlns:n")
    for tag in ("LidcRead", "Response", "Version", "Series", "reading", "unblinded", "roi", "image", "incl", "edge"):
        prefixed = prefixed.replace(f"<{tag}", f"<n:{tag}")
    prefixed = prefixed.replace("<xCo", "<n:xCo").replace("<yCo", "<n:yCo").replace("<locus", "<n:locus")
    prefixed = prefixed.replace("<n:n:", "<n:").replace("</n:n:", "</n:")
    for text in (prefixed.encode(), TRUTH.replace("UTF-8", "UTF-16").encode("utf-16")):
        found = lidc_xml.parse(text, "a.xml")
        assert found.series_uid == expected.series_uid and found.sessions == expected.sessions == 1
        np.testing.assert_array_equal(found.readings[0].outlines[0].points, ring(1, 1))


def mutations(data: bytes):
    """Bytes like `data`, in which some stretches are cut out, repeated, or replaced."""
    edit = st.tuples(
        st.integers(0, len(data)), st.integers(0, 40), st.binary(max_size=8) | st.sampled_from([b"<roi>", b"&a;", b"-"])
    )

    def apply(edits):
        changed = data
        for start, length, new in edits:
            changed = changed[:start] + new + changed[start + length :]
        return changed

    return st.lists(edit, min_size=1, max_size=4).map(apply)


SMALL = message(
    "1.1", [[roi(0.0, sop(0.0), ring(30, 30, 3, 3))]], [[roi(0.0, sop(0.0), ring(29, 30, 4, 3), "FALSE")]], [[]]
).encode()


@settings(max_examples=200)
@given(mutations(SMALL))
def test_any_xml_is_read_or_refused(data):
    try:
        markup = lidc_xml.parse(data, "a.xml")
        for nodule in lidc_xml.nodules(markup.readings if markup else []):
            lidc_xml.mask([outline for reading in nodule for outline in reading.outlines], (SIDE, SIDE), "a.xml")
    except UserError as error:
        assert str(error).startswith("a.xml ") and "\n" not in str(error)


@pytest.fixture(scope="module")
def one_slice(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("slice") / "0.dcm"
    write_slice(path, 0.0, pixels=NOISE[:4, :4].copy())
    return path.read_bytes()


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=200)
@given(st.data())
def test_any_dicom_is_read_or_refused(one_slice, data):
    content = data.draw(mutations(one_slice))
    try:
        found = image(content, "a.dcm")
    except UserError as error:
        assert str(error).startswith("a.dcm ") and "\n" not in str(error)
    else:
        assert found.hounsfield.ndim == 2 and np.isfinite(found.hounsfield).all() and min(found.spacing) > 0


class TestOptions:
    options = options_of(FORMAT[0], "lidc_dicom", FORMAT[1])

    def test_defaults_are_the_study(self):
        found = self.options(scans="LIDC-IDRI.zip")
        assert (found.spacing_mm, found.crop, found.intensity, found.xml) == (0.5, 128, "minmax", None)

    def test_null_and_windows(self):
        found = self.options(scans="LIDC-IDRI.zip", spacing_mm=None, intensity=[-1000, 400])
        assert found.spacing_mm is None and found.intensity == (-1000, 400)

    @pytest.mark.parametrize(
        ("option", "value", "reason"),
        [
            ("spacing_mm", 0, "Input should be greater than 0"),
            ("spacing_mm", float("inf"), "Input should be a finite number"),
            ("crop", 0, "Input should be greater than 0"),
            *(
                ("intensity", value, "Value error, give minmax, or [low, high] with low below high")
                for value in ("maxmin", [400, -1000], [1, 1], [1], [0, 1, 2], 5, None, [0, float("nan")])
            ),
        ],
    )
    def test_mistakes_get_one_sentence(self, option, value, reason):
        with pytest.raises(ValidationError) as caught:
            self.options(scans="LIDC-IDRI.zip", **{option: value})
        (mistake,) = caught.value.errors()
        assert mistake["loc"] == (option,) and mistake["msg"] == reason


SPEC = {
    "format": "lidc_dicom",
    "options": {"spacing_mm": 0.5, "crop": 32, "intensity": [-1000, 400]},
    "size": 32,
    "resize": "crop",
    "split": {"train": 0.34, "val": 0.33, "test": 0.33, "seed": 0},
}


@pytest.fixture
def collection(scan) -> Path:
    for number in (2, 3):
        series = f"1.{number}"
        for z in (0.0, 1.0):
            pixels = RNG.integers(0, 2000, (SIDE, SIDE), np.int16)
            write_slice(scan / f"{number}/{z}.dcm", z, series=series, patient=f"LIDC-IDRI-000{number}", pixels=pixels)
        outlined = [[roi(z, sop(z, series), ring(20, 20)) for z in (0.0, 1.0, 2.0)]]
        write_markup(scan, outlined, [], series=series, name=f"{number}.xml")
    return scan


def test_stores_of_folder_and_zip_are_identical(collection, tmp_path):
    stores = []
    for number, source in enumerate((collection, zipped(collection))):
        prepare(SPEC, {"scans": source}, tmp_path / f"{number}.h5")
        with h5py.File(tmp_path / f"{number}.h5") as file:
            stores.append({name: dataset[:] for name, dataset in file.items()})
            assert file.attrs["exclusions"] == '{"slice that is not there": 2}'
    assert stores[0].keys() == stores[1].keys()
    for name, values in stores[0].items():
        np.testing.assert_array_equal(values, stores[1][name])
    assert stores[0]["images"].shape == (7, 1, 32, 32) and stores[0]["masks"].shape == (7, 4, 32, 32)
    assert stores[0]["annotated"].sum() == 3 * 4 + 4 * 2


def test_a_late_error_leaves_nothing(collection, tmp_path):
    (collection / "3/1.0.dcm").write_bytes((collection / "3/1.0.dcm").read_bytes()[:-10])
    with pytest.raises(UserError, match=r"^3/1.0.dcm cannot be read as a CT slice"):
        prepare(SPEC, {"scans": collection}, tmp_path / "results" / "lidc.h5")
    assert list((tmp_path / "results").iterdir()) == []


@pytest.fixture(scope="module")
def real(raw_data_folder) -> Path:
    path = raw_data_folder / "LIDC-IDRI.zip"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


class TestRealScans:
    def test_agree_with_the_slices_that_the_field_passes_around(self, real, lidc_zip):
        """The same slices of the same nodules with the same masks, and grey values but for rounding.

        Only the centre is another: there it is the mean of all points of a nodule's last reading, rounded down.
        """
        first_patients = takewhile(lambda entry: entry.image_id < "LIDC-IDRI-0004", lidc_slices.read(slices=lidc_zip))
        theirs = {entry.image_id: entry for entry in first_patients if not entry.image_id.startswith("LIDC-IDRI-0002")}
        entries = read(real, crop=128)
        ours = {entry.image_id: entry for entry in entries if isinstance(entry, ImageRecord)}
        assert [entry.image_id for entry in entries] == list(theirs)
        assert {entry.reason for entry in entries if isinstance(entry, Dropped)} == {"slice that is not there"}
        assert list(ours) == [
            *(f"LIDC-IDRI-0001/nodule-0/slice-{k}" for k in range(9)),
            *(f"LIDC-IDRI-0003/nodule-1/slice-{k}" for k in range(10)),
        ]
        with open_files(real) as files:
            series_of = ct_series(files)
            texts = [name for name in files.names if name.endswith(".xml")]
            for markup in (lidc_xml.parse(files.read(name), name) for name in texts):
                series = series_of[markup.series_uid]
                for number, nodule in enumerate(lidc_xml.nodules(markup.readings)):
                    middle = lidc_xml.box(nodule)[:, 1:].sum(0) // 2
                    points = np.concatenate([outline.points for outline in nodule[-1].outlines])
                    row, column = (int(mean) for mean in points.mean(0)[::-1])
                    shift = tuple(int(x) for x in middle - (row, column))
                    for k, z in enumerate(sorted({outline.z for reading in nodule for outline in reading.outlines})):
                        key = f"{series.patient_id}/nodule-{number}/slice-{k}"
                        if key not in ours:
                            continue
                        for mask, expected in zip(ours[key].masks, theirs[key].masks, strict=True):
                            np.testing.assert_array_equal(np.roll(mask, shift, (0, 1)), expected)
                        name = series.slices[find(series, "", z)].name
                        window = image(files.read(name), name).hounsfield[
                            row - 64 : row + 64, column - 64 : column + 64
                        ]
                        difference = to_bytes(window, "minmax").astype(int) - theirs[key].image[0]
                        assert np.abs(difference).max() <= 1

    def test_folder_and_zip_are_the_same(self, real, tmp_path):
        with zipfile.ZipFile(real) as archive:
            archive.extractall(tmp_path)
        assert_same(read(real, spacing_mm=0.5, crop=128), read(tmp_path, spacing_mm=0.5, crop=128))

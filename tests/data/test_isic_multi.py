import h5py
import numpy as np
import pytest
from helpers.raw_data import save, zipped

from segunc.data.formats import isic_multi
from segunc.data.preparation import prepare
from segunc.data.store import Dropped
from segunc.runtime.errors import UserError

HEADER = "ISIC_id,img_filename,seg_filename,annotator,tool,skill_level,mskObjectID,mask_md5"
ROWS = [  # image, annotator, object: as in IMA++, in no order; A00 annotated ISIC_0000002 twice
    ("ISIC_0000010", "A01", "5a"),
    ("ISIC_0000002", "A00", "5b"),
    ("ISIC_0000002", "A10", "5c"),
    ("ISIC_0000002", "A00", "5d"),
    ("ISIC_0000001", "A10", "5e"),
    ("ISIC_0000001", "A09", "5f"),
    ("ISIC_0000001", "ST", "ST"),
    ("ISIC_0000001", "MV", "MV"),
    ("ISIC_0000099", "A03", "60"),  # an image that is not there
]
PATIENTS = """isic_id,attribution,patient_id,lesion_id
ISIC_0000001,somebody,IP_1,IL_1
ISIC_0000002,somebody,,IL_1
ISIC_0000010,somebody,,IL_2
ISIC_0000011,somebody,,
ISIC_0000099,somebody,IP_9,
"""


def outline(key: str) -> np.ndarray:
    rng = np.random.default_rng(list(key.encode()))
    return np.where(rng.random((12, 16)) < 0.4, 255, 0).astype(np.uint8)


def mask_name(image, annotator, key):
    return f"{image}_{annotator}_T1_S1_{key}.png"


@pytest.fixture
def ima(tmp_path):
    for number in (1, 2, 10, 11):
        rng = np.random.default_rng(number)
        save(tmp_path / "images" / f"ISIC_{number:07}.JPG", rng.integers(0, 256, (12, 16, 3), np.uint8))
    lines = [HEADER]
    for image, annotator, key in ROWS:
        save(tmp_path / "segs" / mask_name(image, annotator, key), outline(key))
        lines.append(f"{image},{image}.JPG,{mask_name(image, annotator, key)},{annotator},T1,S1,{key},{key}")
    (tmp_path / "seg_metadata.csv").write_text("\n".join(lines))
    (tmp_path / "img_metadata.csv").write_text(PATIENTS)
    return {
        "images": tmp_path / "images",
        "masks": tmp_path / "segs",
        "annotations": tmp_path / "seg_metadata.csv",
        "patients": tmp_path / "img_metadata.csv",
    }


def test_slots_are_annotators(ima):
    first, second, tenth, *dropped = isic_multi.read(**ima)
    assert dropped == [
        Dropped("ISIC_0000011", "nobody annotated it"),
        Dropped("ISIC_0000099", "the image is not there"),
    ]
    slots = {  # A00, A00 again, A01, A09, A10
        "ISIC_0000001": [None, None, None, "5f", "5e"],
        "ISIC_0000002": ["5b", "5d", None, None, "5c"],
        "ISIC_0000010": [None, None, "5a", None, None],
    }
    for record in (first, second, tenth):
        for mask, key in zip(record.masks, slots[record.image_id], strict=True):
            np.testing.assert_array_equal(mask, key and outline(key) // 255)


def test_masks_without_a_row_are_counted(ima):
    expected = [entry.image_id for entry in isic_multi.read(**ima)]
    save(ima["masks"] / "ISIC_0000001_A11.PNG", outline("a"))
    (ima["masks"] / "notes.txt").write_text("x")
    *rest, last = isic_multi.read(**ima)
    assert last == Dropped("ISIC_0000001_A11.PNG", "mask that the csv does not list")
    assert [entry.image_id for entry in rest] == expected


def test_compact_slots(ima):
    expected = {
        "ISIC_0000001": ["5f", "5e"],
        "ISIC_0000002": ["5b", "5d", "5c"],
        "ISIC_0000010": ["5a"],
    }
    records = [entry for entry in isic_multi.read(**ima, compact=True) if not isinstance(entry, Dropped)]
    for record in records:
        for mask, key in zip(record.masks, expected.pop(record.image_id), strict=True):
            np.testing.assert_array_equal(mask, outline(key) // 255)
    assert not expected


def test_patients_and_lesions(ima):
    found = {e.image_id: (e.patient_id, e.group_id) for e in isic_multi.read(**ima) if not isinstance(e, Dropped)}
    assert found == {
        "ISIC_0000001": ("IP_1", "IL_1"),
        "ISIC_0000002": ("IP_1", "IL_1"),  # the patient of its lesion
        "ISIC_0000010": ("IL_2", "IL_2"),
    }
    del ima["patients"]
    found = {e.image_id: (e.patient_id, e.group_id) for e in isic_multi.read(**ima) if not isinstance(e, Dropped)}
    assert found == {key: (key, key) for key in ("ISIC_0000001", "ISIC_0000002", "ISIC_0000010")}


def test_folders_and_zips_give_the_same_store(ima, tmp_path):
    spec = {
        **{"format": "isic_multi", "options": {"compact": True}, "size": 8, "resize": "area"},
        "split": {"train": 0.4, "val": 0.3, "test": 0.3, "seed": 0},
    }
    del ima["patients"]
    stores = []
    for pack in (lambda path: path, zipped):
        raw = {**ima, "images": pack(ima["images"]), "masks": pack(ima["masks"])}
        prepare(spec, raw, tmp_path / "a.h5")
        with h5py.File(tmp_path / "a.h5") as file:
            stores.append({name: file[name][()].tolist() for name in file})
            assert file["annotated"][()].tolist() == [[True, True, False], [True, True, True], [True, False, False]]
    assert stores[0] == stores[1]


def test_plain_names_of_columns_and_paths_of_masks(ima, tmp_path):
    lines = ["mask_path;annotator;image_id"]
    for image, annotator, key in ROWS[:6]:
        save(tmp_path / "masks" / annotator / f"{image}-{key}.png", outline(key))
        lines.append(f"{annotator}/{image}-{key}.png;{annotator};{image}")
    (tmp_path / "list.csv").write_text("\n".join(lines), "utf-8-sig")
    theirs = [entry for entry in isic_multi.read(**ima) if not isinstance(entry, Dropped)]
    raw = {**ima, "masks": zipped(tmp_path / "masks"), "annotations": tmp_path / "list.csv"}
    ours = [entry for entry in isic_multi.read(**raw) if not isinstance(entry, Dropped)]
    for a, b in zip(theirs, ours, strict=True):
        assert a.image_id == b.image_id
        for one, other in zip(a.masks, b.masks, strict=True):
            np.testing.assert_array_equal(one, other)


def rewrite(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


BAD = [
    pytest.param(
        lambda raw: rewrite(raw["annotations"], "annotator,", "who,"),
        "seg_metadata.csv has no column called annotator",
        id="no column",
    ),
    pytest.param(
        lambda raw: (raw["masks"] / mask_name(*ROWS[1])).unlink(),
        "line 3 of .*seg_metadata.csv names the mask ISIC_0000002_A00_T1_S1_5b.png, which is not there in .*segs",
        id="missing mask",
    ),
    pytest.param(
        lambda raw: save(raw["masks"] / "again" / mask_name(*ROWS[1]), outline("x")),
        "line 3 of .* names the mask ISIC_0000002_A00_T1_S1_5b.png, which is there several times",
        id="mask twice",
    ),
    pytest.param(
        lambda raw: rewrite(raw["annotations"], mask_name(*ROWS[3]), mask_name(*ROWS[1])),
        "lines 3 and 5 of .* name the same mask; remove one of them",
        id="row twice",
    ),
    pytest.param(
        lambda raw: rewrite(raw["annotations"], "ISIC_0", "ISIC-0"),
        "which is not there",
        id="other names",
    ),
    pytest.param(
        lambda raw: [file.rename(file.with_stem(f"x{file.stem}")) for file in raw["images"].iterdir()],
        "seg_metadata.csv lists none of the images in .*images; give a csv and images that belong together",
        id="other images",
    ),
    pytest.param(
        lambda raw: [file.unlink() for file in raw["images"].iterdir()],
        "images has no <image id>.jpg",
        id="no images",
    ),
    pytest.param(
        lambda raw: save(raw["images"] / "ISIC_0000003.tif", np.zeros((12, 16, 3), np.uint8)),
        r"images has 1 file\(s\) other than <image id>.jpg or <image id>.png, such as ISIC_0000003.tif; rename",
        id="another suffix",
    ),
    pytest.param(
        lambda raw: save(raw["images"] / "ISIC_0000001.png", np.zeros((12, 16, 3), np.uint8)),
        "ISIC_0000001.JPG and ISIC_0000001.png in .* have the same id",
        id="image twice",
    ),
    pytest.param(
        lambda raw: rewrite(raw["patients"], "ISIC_0000011", "ISIC_0000010"),
        "line 5 of .*img_metadata.csv names the image ISIC_0000010 for a second time",
        id="patient twice",
    ),
    pytest.param(
        lambda raw: raw["patients"].write_text("isic_id,sex\nISIC_0000001,f\n"),
        "img_metadata.csv has no patient in a column patient_id",
        id="no patients",
    ),
]


@pytest.mark.parametrize(("spoil", "sentence"), BAD)
def test_bad_input(ima, spoil, sentence):
    spoil(ima)
    with pytest.raises(UserError, match=sentence) as error:
        list(isic_multi.read(**ima))
    assert "\n" not in str(error.value)

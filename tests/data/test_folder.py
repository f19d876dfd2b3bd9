import os
import shutil
import unicodedata

import h5py
import numpy as np
import pytest
from helpers.raw_data import save, tarred, zipped
from PIL import Image

from segunc.data import archive
from segunc.data.formats import folder
from segunc.data.preparation import prepare
from segunc.data.store import Dropped, read_split
from segunc.runtime.errors import UserError

IDS = ["a b", "case-2/x", "case-9/x", "case-10/x", "läsion", "v1.2"]
"""In natural order; with space, sub-folders, a letter of two normal forms, and a dot."""


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (9, 12), np.uint8)


def outline(seed: int) -> np.ndarray:
    return np.where(np.random.default_rng(1000 + seed).random((9, 12)) < 0.4, 255, 0).astype(np.uint8)


@pytest.fixture
def mine(tmp_path):
    """Six images; ann-10 saw all, ann-9 every second, and marked nothing on the first."""
    root = tmp_path / "mine"
    for number, key in enumerate(IDS):
        save(root / "images" / f"{key}.png", picture(number))
        save(root / "masks" / "ann-10" / f"{key}.png", outline(number))
        if number % 2 == 0:
            save(
                root / "masks" / "ann-9" / f"{key}.tif", outline(number + 50) if number else np.zeros((9, 12), np.uint8)
            )
    (root / "README.md").write_text("not read")
    return root


def records(data, **options):
    return list(folder.read(data=data, channels=1, **options))


def assert_as_expected(entries):
    assert [entry.image_id for entry in entries] == [unicodedata.normalize("NFC", key) for key in IDS]
    for number, record in enumerate(entries):
        assert record.patient_id == record.group_id == record.image_id and record.split is None
        np.testing.assert_array_equal(record.image, picture(number)[None])
        nine, ten = record.masks
        np.testing.assert_array_equal(ten, outline(number) // 255)
        if number % 2:
            assert nine is None
        else:
            np.testing.assert_array_equal(nine, outline(number + 50) // 255 if number else np.zeros((9, 12)))


def test_contents(mine):
    assert_as_expected(records(mine))


def test_suffixes_instead_of_folders(mine):
    for annotator in ("ann-9", "ann-10"):
        source = mine / "masks" / annotator
        for file in [file for file in source.rglob("*") if file.is_file()]:
            inside = file.relative_to(source)
            target = mine / "masks" / inside.with_name(f"{inside.stem}_{annotator}{inside.suffix}")
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
        shutil.rmtree(source)
    assert_as_expected(records(mine))


def test_one_annotator_without_a_name(mine):
    shutil.rmtree(mine / "masks" / "ann-9")
    (mine / "masks" / "ann-10").rename(mine / "kept")
    shutil.rmtree(mine / "masks")
    (mine / "kept").rename(mine / "masks")
    for number, record in enumerate(records(mine)):
        [mask] = record.masks
        np.testing.assert_array_equal(mask, outline(number) // 255)


def stored(path):
    with h5py.File(path) as file:
        return {name: file[name][()].tolist() for name in file}


def test_folder_its_parent_and_archives_give_the_same_store(mine, tmp_path):
    spec = {
        **{"format": "folder", "options": {"channels": 3, "intensity": None}, "size": 8, "resize": "area"},
        "split": {"train": 0.5, "val": 0.25, "test": 0.25, "seed": 0},
    }
    csv = tmp_path / "patients.csv"
    csv.write_text("image,patient\n" + "".join(f"{key}.png,p{n // 2}\n" for n, key in enumerate(IDS)), "utf-8")
    shutil.copytree(mine, tmp_path / "alone" / "mine")
    sources = {"folder": mine, "parent": tmp_path / "alone", "zip": zipped(mine), "tar": tarred(mine)}
    for name, source in sources.items():
        prepare(spec, {"data": source, "patients": csv}, tmp_path / f"{name}.h5")
    first, *others = [stored(tmp_path / f"{name}.h5") for name in sources]
    assert set(first["split"]) == {b"train", b"val", b"test"} and len(set(first["patient_id"])) == 3
    assert all(other == first for other in others)


def test_the_two_normal_forms_of_a_name_are_the_same(mine):
    for file in sorted(mine.rglob("*läsion*")):
        form = "NFD" if "images" in file.parts else "NFC"
        file.rename(file.with_name(unicodedata.normalize(form, file.name)))
    assert_as_expected(records(mine))
    accented = mine / "images" / unicodedata.normalize("NFC", "läsion.png")
    save(accented, picture(4))
    assert_as_expected(records(mine))
    save(accented, picture(5))
    with pytest.raises(UserError, match=r"have the same id, but differ; keep one file per id.$"):
        records(mine)


def test_arrays_and_intensity(mine):
    deep = np.random.default_rng(0).integers(-1000, 3000, (9, 12)).astype(np.int16)
    (mine / "images" / "a b.png").unlink()
    np.save(mine / "images" / "a b.npy", deep)
    np.save(mine / "masks" / "ann-9" / "a b.npy", np.ones((9, 12), bool))
    (mine / "masks" / "ann-9" / "a b.tif").unlink()
    with pytest.raises(UserError, match=r"a b.npy has int16 values, but 8-bit grey .* set the option intensity"):
        records(mine)
    first, *_ = records(mine, intensity=[-1000, 1000])
    expected = np.floor(255 * (np.clip(deep, -1000, 1000) + 1000.0) / 2000 + 0.5)
    np.testing.assert_array_equal(first.image[0], expected)
    assert first.masks[0].all()


def test_images_that_nobody_annotated_are_counted(mine):
    save(mine / "images" / "new.png", picture(7))
    *others, last = records(mine)[:5], next(entry for entry in records(mine) if entry.image_id == "new")
    assert last == Dropped("new", "nobody annotated it")
    assert others


def test_patients_groups_and_published_split(mine, tmp_path):
    csv = tmp_path / "patients.csv"
    rows = [("a b", "p1", "g", "train"), ("case-2/x.PNG", "p1", "g", "train"), ("case-9/x", "p2", "g", "val")]
    rows += [("case-10/x", "p3", "", "test"), ("läsion", "p4", "", "test"), ("v1.2", "p5", "h", "test")]
    csv.write_text("image;patient;group;split\n" + "\n".join(";".join(row) for row in rows), "utf-8-sig")
    found = {r.image_id: (r.group_id, r.patient_id, r.split) for r in records(mine, patients=csv)}
    assert list(found.values()) == [
        ("p1/g", "p1", "train"),
        ("p1/g", "p1", "train"),
        ("p2/g", "p2", "val"),
        ("case-10/x", "p3", "test"),
        ("läsion", "p4", "test"),
        ("p5/h", "p5", "test"),
    ]
    spec = {"format": "folder", "options": {"channels": 1}, "size": 8, "resize": "crop", "split": {}}
    prepare(spec, {"data": mine, "patients": csv}, tmp_path / "mine.h5")
    assert read_split(tmp_path / "mine.h5", "test", 0).image_id.tolist() == ["case-10/x", "läsion", "v1.2"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image,who\na b,p\n", "patients.csv has no column called patient; its first line names the columns"),
        ("image,patient\na b,p\nz,p\n", r"line 3 of .*patients.csv names the image z, which is not there"),
        ("image,patient\na b,p\na b.png,q\n", r"line 3 of .*patients.csv names the image a b.png, for a second time"),
        ("image,patient\na b,p\n", "patients.csv has no line for the image case-2/x; add one"),
        ("image,patient\n..,p\n", r"names the image .., which is not there"),
        ("image,patient\nv1,p\n", r"names the image v1, which is not there"),
    ],
)
def test_bad_tables(mine, tmp_path, text, sentence):
    (tmp_path / "patients.csv").write_text(text)
    with pytest.raises(UserError, match=sentence) as error:
        records(mine, patients=tmp_path / "patients.csv")
    assert "\n" not in str(error.value)


BAD = [
    pytest.param(lambda f: shutil.rmtree(f / "images"), "mine has no images/<id>.png; give the folder", id="no images"),
    pytest.param(lambda f: shutil.rmtree(f / "masks"), "mine has no masks/<id>.png", id="no masks"),
    pytest.param(
        lambda f: [shutil.rmtree(f / name) for name in ("images", "masks")], "has no images/<id>.png", id="empty folder"
    ),
    pytest.param(
        lambda f: (f / "images/v1.2.png").unlink(),
        "masks/ann-10/v1.2.png in .* is a mask without an image; add the image or remove it",
        id="mask without image",
    ),
    pytest.param(
        lambda f: Image.fromarray(picture(0)).save(f / "images/v1.2.jpg"),
        "images/v1.2.jpg and images/v1.2.png in .* have the same id",
        id="two suffixes",
    ),
    pytest.param(
        lambda f: save(f / "masks/ann-9/a b.png", outline(0)),
        "masks/ann-9/a b.png and masks/ann-9/a b.tif in .* have the same id",
        id="two masks of an annotator",
    ),
    pytest.param(
        lambda f: (f / "images/scan.dcm").write_bytes(b"DICM"), "images/scan.dcm in .* is not one of .png", id="DICOM"
    ),
    pytest.param(
        lambda f: save(f / "Masks/ann-8/v1.2.png", outline(0)),
        r"mine has 1 file\(s\) other than images/<id>.png and masks/..., such as Masks/ann-8/v1.2.png; rename",
        id="capital letter",
    ),
    pytest.param(
        lambda f: save(f / "v1.2.PNG", outline(0)), "mine has 1 .* such as v1.2.PNG; rename", id="neither folder"
    ),
    pytest.param(
        lambda f: [save(f / "images/v1.2.jpg", picture(1)), save(f / "images/a b.tif", picture(1))],
        "images/a b.png and images/a b.tif, images/v1.2.jpg and images/v1.2.png in .* have the same id",
        id="all that differ at once",
    ),
    pytest.param(
        lambda f: shutil.copytree(f / "images", f / "old/images"),
        "mine has `images` in several places",
        id="several places",
    ),
    pytest.param(
        lambda f: save(f / "masks/v1.2.png", outline(0)),
        r"mine names annotators in several ways, as in masks/ann-9/a b.tif \(masks/<annotator>/<id>\) and masks/v1.2",
        id="several ways",
    ),
    pytest.param(
        lambda f: (save(f / "images/v1.2_x.png", picture(0)), save(f / "masks/v1.2_x.png", outline(0))),
        r"masks/v1.2_x.png in .* may be a mask of v1.2_x \(as masks/<id>\) or of v1.2 \(as masks/<id>_<annotator>\)",
        id="two readings",
    ),
    pytest.param(lambda f: (f / "images/v1.2.png").write_bytes(b""), "images/v1.2.png cannot be read", id="zero bytes"),
    pytest.param(
        lambda f: save(f / "masks/ann-9/v1.2.png", outline(0)[:, :5]),
        "masks/ann-9/v1.2.png is 5x9 pixels, but its image is 12x9",
        id="another size",
    ),
    pytest.param(
        lambda f: save(f / "images/v1.2.png", np.stack([picture(0), picture(1), picture(2)], -1)),
        "images/v1.2.png has the colour mode RGB, but 8-bit grey",
        id="colours",
    ),
    pytest.param(
        lambda f: (f / "images/v1.2.png").unlink() or (f / "images/v1.2.png").symlink_to("v1.2.png"),
        "images/v1.2.png cannot be read",
        id="link to itself",
    ),
]


@pytest.mark.parametrize(("spoil", "sentence"), BAD)
def test_bad_input_names_the_fault_and_leaves_nothing(mine, tmp_path, spoil, sentence):
    spoil(mine)
    spec = {"format": "folder", "options": {"channels": 1}, "size": 8, "resize": "crop"}
    spec["split"] = {"train": 0.6, "val": 0.2, "test": 0.2, "seed": 0}
    with pytest.raises(UserError, match=sentence) as error:
        prepare(spec, {"data": mine}, tmp_path / "results" / "mine.h5")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "results").glob("*")) if (tmp_path / "results").exists() else True


def test_hidden_files_and_loops_of_links_are_not_followed(mine):
    save(mine / "images/.ipynb_checkpoints/a-checkpoint.png", picture(0))
    (mine / "images/.hidden.txt").write_text("x")
    (mine / "notes.TXT").write_text("x")
    save(mine / "masks/ann-9/@eaDir/a b.png/SYNOPHOTO_THUMB_S.jpg", picture(0))
    (mine / "images/loop").symlink_to("..", target_is_directory=True)
    assert_as_expected(records(mine))


def test_images_on_another_disk(mine, tmp_path):
    (mine / "images").rename(tmp_path / "disk")
    (mine / "images").symlink_to(tmp_path / "disk", target_is_directory=True)
    assert_as_expected(records(mine))
    (tmp_path / "disk").rename(tmp_path / "unplugged")
    spec = {"format": "folder", "options": {"channels": 1}, "size": 8, "resize": "crop", "split": {}}
    with pytest.raises(UserError, match=r"mine/images cannot be read \(No such file or directory\); replace it.$"):
        prepare(spec, {"data": mine}, tmp_path / "mine.h5")


def test_a_file_that_may_not_be_read(mine, monkeypatch):
    """Also for root, who may read everything: the refusal is the system's answer, made up here."""
    name = mine / "images" / "v1.2.png"
    opened = type(name).open

    def refuse(self, *args, **kwargs):
        if self == name:
            raise PermissionError(13, os.strerror(13))
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(type(name), "open", refuse)
    monkeypatch.setattr(type(name), "read_bytes", lambda self: refuse(self, "rb").read())
    with pytest.raises(UserError, match=r"images/v1.2.png cannot be read \(Permission denied\)"):
        records(mine)


def test_no_larger_file_is_read(mine, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST_MEMBER", 20)
    with pytest.raises(UserError, match="but at most 0 are read"):
        records(mine)

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.raw_data import save, tarred, zipped
from PIL import Image

from segunc.data.formats import hpunet_crops
from segunc.data.preparation import prepare
from segunc.data.store import Dropped, ImageRecord
from segunc.runtime.errors import UserError

CROPS = {
    "train": {"LIDC-IDRI-0001": ["z-105.0_c0", "z-97.5_c0", "z-97.5_c1"], "LIDC-IDRI-0010": ["z-1210.0_c0"]},
    "val": {"Ä patient 2": ["z--32.25_c0", "z12.5_c0"]},
    "test": {"LIDC-IDRI-0003": ["z-9.0_c0", "z-10.0_c0", "z-11.0_c0"]},
}
UNMARKED = "LIDC-IDRI-0003/z-10.0_c0"
SPEC = {
    "format": "hpunet_crops",
    "options": {},
    "size": 128,
    "resize": "crop",
    "split": {"train": 0.7, "val": 0.15, "test": 0.15, "seed": 0},
}


@pytest.fixture
def crops(tmp_path) -> Path:
    """The release unpacked: train, val and test in a folder `lidc_crops`."""
    folder, rng = tmp_path / "lidc_crops", np.random.default_rng(0)
    for split, patients in CROPS.items():
        for patient, names in patients.items():
            for count, name in enumerate(names):
                save(folder / split / "images" / patient / f"{name}.png", rng.integers(0, 256, (180, 180), np.uint8))
                for annotator in range(4):
                    mask = np.zeros((180, 180), np.uint8)
                    if annotator <= count and f"{patient}/{name}" != UNMARKED:
                        mask[80:95, 90 : 100 + annotator] = 255
                    save(folder / split / "gt" / patient / f"{name}_l{annotator}.png", mask)
    return folder


def packed(crops: Path) -> Path:
    """The release as it is downloaded: three archives in a folder."""
    folder = crops.with_name("downloaded")
    folder.mkdir()
    for split in CROPS:
        path = tarred(crops / split)
        path.rename(folder / path.name)
    return folder


def renamed(folder: Path, old: str, new: str) -> None:
    for file in sorted(folder.rglob(f"*{old}*")):
        file.rename(file.with_name(file.name.replace(old, new)))


def entries(path: Path) -> list[ImageRecord | Dropped]:
    return list(hpunet_crops.read(crops=path))


def assert_same(first: list, second: list) -> None:
    assert [entry.image_id for entry in first] == [entry.image_id for entry in second]
    for a, b in zip(first, second, strict=True):
        assert type(a) is type(b)
        if isinstance(a, ImageRecord):
            assert a[2:] == b[2:]
            np.testing.assert_array_equal(a.image, b.image)
            np.testing.assert_array_equal(np.array(a.masks), np.array(b.masks))


def test_contents(crops):
    found = entries(crops)
    assert [(getattr(entry, "split", "test"), entry.image_id) for entry in found] == [
        ("train", "LIDC-IDRI-0001/z-97.5_c0"),
        ("train", "LIDC-IDRI-0001/z-97.5_c1"),
        ("train", "LIDC-IDRI-0001/z-105.0_c0"),
        ("train", "LIDC-IDRI-0010/z-1210.0_c0"),
        ("val", "Ä patient 2/z12.5_c0"),
        ("val", "Ä patient 2/z--32.25_c0"),
        ("test", "LIDC-IDRI-0003/z-9.0_c0"),
        ("test", UNMARKED),
        ("test", "LIDC-IDRI-0003/z-11.0_c0"),
    ]
    assert [entry for entry in found if isinstance(entry, Dropped)] == [Dropped(UNMARKED, "nobody marked anything")]
    second = found[1]
    assert (second.patient_id, second.group_id) == ("LIDC-IDRI-0001", "LIDC-IDRI-0001/c1")
    picture = Image.open(crops / "train/images/LIDC-IDRI-0001/z-97.5_c1.png")
    np.testing.assert_array_equal(second.image[0], np.array(picture))
    assert [mask.sum() for mask in second.masks] == [150, 165, 180, 0]
    assert second.image.shape == (1, 180, 180) and second.masks[0].dtype == np.uint8


def test_folder_and_archives_are_the_same(crops, tmp_path):
    expected = entries(crops)
    for path in (zipped(crops), tarred(crops), tarred(crops, ".tar")):
        assert_same(entries(path), expected)
    downloaded = packed(crops)
    assert_same(entries(downloaded), expected)
    for path in (zipped(downloaded), tarred(downloaded)):
        assert_same(entries(path), expected)


def test_other_ways_of_unpacking(crops, tmp_path):
    """With folders named like the archives, as in `lidc_crops_train/train/images` and `lidc_crops_train/images`."""
    expected = entries(crops)
    for split in CROPS:
        (crops / f"lidc_crops_{split}").mkdir()
        (crops / split).rename(crops / f"lidc_crops_{split}" / split)
    assert_same(entries(crops), expected)
    for split in CROPS:
        for folder in (crops / f"lidc_crops_{split}" / split).iterdir():
            folder.rename(crops / f"lidc_crops_{split}" / folder.name)
        (crops / f"lidc_crops_{split}" / split).rmdir()
    assert_same(entries(crops), expected)


def test_archives_without_a_folder_in_them(crops, tmp_path):
    expected = entries(crops)
    downloaded = tmp_path / "downloaded"
    downloaded.mkdir()
    for split in CROPS:
        archive = shutil.make_archive(str(downloaded / f"lidc_crops_{split}"), "gztar", crops / split)
        assert archive.endswith(".tar.gz")
    assert_same(entries(downloaded), expected)


def test_what_is_unpacked_beside_the_archives_is_not_read(crops, tmp_path):
    downloaded = packed(crops)
    expected = entries(downloaded)
    shutil.copytree(crops / "train", downloaded / "train")
    shutil.rmtree(downloaded / "train/gt")
    assert_same(entries(downloaded), expected)


def test_capital_suffixes_and_copies(crops):
    expected = entries(crops)
    shutil.copytree(crops / "train", crops / "copy/train")
    for file in sorted((crops / "train").rglob("z-97.5_c1*.png")):
        file.rename(file.with_suffix(".PNG"))
    assert_same(entries(crops), expected)


def test_annotators_counted_from_1(crops):
    expected = entries(crops)
    for annotator in (3, 2, 1, 0):
        renamed(crops, f"_l{annotator}.png", f"_l{annotator + 1}.png")
    assert_same(entries(crops), expected)


def test_the_store_is_the_same_from_folder_and_archives(crops, tmp_path):
    stores = []
    for number, path in enumerate((crops, packed(crops), zipped(crops))):
        prepare(SPEC, {"crops": path}, tmp_path / f"{number}.h5")
        with h5py.File(tmp_path / f"{number}.h5") as file:
            stores.append({name: file[name][:] for name in file})
            assert file.attrs["exclusions"] == '{"nobody marked anything": 1}'
    for store in stores[1:]:
        assert store.keys() == stores[0].keys()
        for name, values in store.items():
            np.testing.assert_array_equal(values, stores[0][name])
    assert stores[0]["split"].tolist() == [b"train"] * 4 + [b"val"] * 2 + [b"test"] * 2
    # The authors' own crop is [26:-26].
    picture = np.array(Image.open(crops / "train/images/LIDC-IDRI-0001/z-97.5_c0.png"))
    np.testing.assert_array_equal(stores[0]["images"][0, 0], picture[26:-26, 26:-26])


FIRST = "train/images/LIDC-IDRI-0001/z-97.5_c0.png"
MASK = "train/gt/LIDC-IDRI-0001/z-97.5_c0_l2.png"

SPOILT = {
    "missing label": (lambda f: (f / MASK).unlink(), r"z-97.5_c0.png in .* has no mask _l2; each annotator needs"),
    "no label of an image": (
        lambda f: [file.unlink() for file in (f / "train/gt").rglob("z-97.5_c0_l*")],
        r"z-97.5_c0.png in .* has no mask _l0; each",
    ),
    "three of four": (
        lambda f: [file.unlink() for file in f.rglob("*_l1.png")],
        r"lidc_crops.* has masks _l0, _l2, _l3, but four annotators are needed; add the others.$",
    ),
    "no masks": (lambda f: [shutil.rmtree(f / split / "gt") for split in CROPS], r"has masks \(none\), but four"),
    "five annotators": (lambda f: shutil.copy(f / MASK, f / MASK.replace("l2", "l4")), "has masks _l0, _l1.*_l4, but"),
    "mask without image": (lambda f: (f / FIRST).unlink(), r"z-97.5_c0_l0.png in .* is a mask without an image"),
    "same crop twice": (
        lambda f: [shutil.copytree(f / "train", f / "copy/train"), shutil.copy(f / FIRST, f / "copy" / MASK)],
        r"copy/train/.*/z-97.5_c0_l2.png and train/.*/z-97.5_c0_l2.png in .* have the same id, but differ; keep one",
    ),
    "decimal comma": (
        lambda f: renamed(f, "z-97.5_c0", "z-97,5_c0"),
        r"lidc_crops has 5 .* other than images/<patient>/z-<z>_c<k>.png and .*, such as train/gt/.*/z-97,5_c0_l0.png;",
    ),
    "ten annotators": (lambda f: shutil.copy(f / MASK, f / MASK.replace("l2", "l10")), "has 1 file.* such as .*_l10"),
    "unknown split": (
        lambda f: (f / "val").rename(f / "validation"),
        r"z12.5_c0.png in .* is not in a folder train or val or",
    ),
    "no validation images": (
        lambda f: shutil.rmtree(f / "val"),
        r"lidc_crops has no val/images/<patient>/z-<z>_c<k>.png",
    ),
    "empty": (
        lambda f: [shutil.rmtree(f / split) for split in CROPS],
        r"lidc_crops has no train/images/<patient>/z-<z>",
    ),
    "mask of another size": (
        lambda f: save(f / MASK, np.zeros((128, 128), np.uint8)),
        r"z-97.5_c0_l2.png is 128x128 pixels, but its image is 180x180; make",
    ),
    "mask of three values": (
        lambda f: save(f / MASK, np.arange(180 * 180).reshape(180, 180).astype(np.uint8) % 3),
        r"z-97.5_c0_l2.png has the values 0, 1, 2, but a mask has only",
    ),
    "truncated image": (
        lambda f: (f / FIRST).write_bytes((f / FIRST).read_bytes()[:5000]),
        r"images/LIDC-IDRI-0001/z-97.5_c0.png cannot be read",
    ),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_bad_input(crops, tmp_path, kind):
    spoil, sentence = SPOILT[kind]
    spoil(crops)
    with pytest.raises(UserError, match=sentence) as error:
        prepare(SPEC, {"crops": crops}, tmp_path / "results" / "data.h5")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "results").iterdir())


def test_a_patient_in_two_splits(crops, tmp_path):
    shutil.copytree(crops / "test", crops / "val", dirs_exist_ok=True)
    renamed(crops / "val", "z-9.0", "z-8.0")
    for file in sorted(crops.rglob("*val*/*/LIDC-IDRI-0003/z-1*")):
        file.unlink()
    with pytest.raises(UserError, match="patient LIDC-IDRI-0003 is in two splits, val and test"):
        prepare(SPEC, {"crops": crops}, tmp_path / "data.h5")


def test_bad_archives(crops, tmp_path):
    downloaded = packed(crops)
    whole = (downloaded / "val.tar.gz").read_bytes()
    (downloaded / "val.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"val.tar.gz is cut off or damaged \(.*\); fetch it again.$"):
        prepare(SPEC, {"crops": downloaded}, tmp_path / "results" / "data.h5")
    assert not list((tmp_path / "results").iterdir())
    shutil.copy(downloaded / "train.tar.gz", downloaded / "val.tar.gz")
    with pytest.raises(UserError, match=r"^train/images/.*.png in val.tar.gz in .* is not in a folder val; move it"):
        entries(downloaded)
    shutil.copy(downloaded / "train.tar.gz", downloaded / "train.tgz")
    with pytest.raises(UserError, match=r"train.tar.gz and train.tgz in .* have the same id; remove one of them.$"):
        entries(downloaded)


def test_only_some_of_the_archives(crops, tmp_path):
    downloaded = packed(crops)
    (downloaded / "val.tar.gz").unlink()
    with pytest.raises(UserError, match=r"downloaded has no train/images/.*; train.tar.gz, val.tar.gz and test"):
        entries(downloaded)

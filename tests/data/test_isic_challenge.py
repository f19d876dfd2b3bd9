import shutil

import numpy as np
import pytest
from helpers.raw_data import save, zipped
from PIL import Image

from segunc.data.formats import isic_challenge
from segunc.data.preparation import prepare
from segunc.data.store import read_split
from segunc.runtime.errors import UserError

LAYOUTS = {
    2016: ("ISBI2016_ISIC_Part1_Training_Data", "ISBI2016_ISIC_Part1_Training_GroundTruth", "_Segmentation"),
    2017: ("ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth", "_segmentation"),
    2018: ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth", "_segmentation"),
}


def part(root, images, masks, suffix, numbers):
    """One part of a challenge, with everything that a year's folders also hold."""
    for number in numbers:
        rng = np.random.default_rng(number)
        save(root / images / f"ISIC_{number:07}.jpg", rng.integers(0, 256, (12, 16, 3), np.uint8), quality=95)
        if "2017" in images:
            save(root / images / f"ISIC_{number:07}_superpixels.png", rng.integers(0, 256, (12, 16, 3), np.uint8))
        save(
            root / masks / f"ISIC_{number:07}{suffix}.png",
            np.where(rng.random((12, 16)) < 0.3, 255, 0).astype(np.uint8),
        )
    (root / images / f"{images}_metadata.csv").write_text("image_id,age_approximate,sex\n")
    (root / images / "LICENSE.txt").write_text("CC-0")
    (root / images / "ATTRIBUTION.txt").write_text("somebody")
    return root / images, root / masks


@pytest.mark.parametrize("year", LAYOUTS)
@pytest.mark.parametrize("pack", [lambda path: path, zipped], ids=["folder", "zip"])
def test_layouts_of_the_years(tmp_path, year, pack):
    images, masks = part(tmp_path, *LAYOUTS[year], range(3))
    records = list(isic_challenge.read(images=pack(images), masks=pack(masks)))
    assert [record.image_id for record in records] == [f"ISIC_{number:07}" for number in range(3)]
    for record in records:
        assert record.image.shape == (3, 12, 16) and record.split is None and len(record.masks) == 1
        [file] = masks.glob(f"{record.image_id}*")
        np.testing.assert_array_equal(record.masks[0], np.array(Image.open(file)) // 255)


@pytest.fixture
def parts(tmp_path):
    """The options of ISIC 2017 with its published split."""
    names = {
        "": ("ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth", range(5)),
        "val_": ("ISIC-2017_Validation_Data", "ISIC-2017_Validation_Part1_GroundTruth", range(5, 7)),
        "test_": ("ISIC-2017_Test_v2_Data", "ISIC-2017_Test_v2_Part1_GroundTruth", range(7, 10)),
    }
    options = {}
    for split, (images, masks, numbers) in names.items():
        options[f"{split}images"], options[f"{split}masks"] = part(tmp_path, images, masks, "_segmentation", numbers)
    return options


def test_the_published_split(parts, tmp_path):
    spec = {"format": "isic_challenge", "options": {}, "size": 8, "resize": "area", "split": {}}
    prepare(spec, parts, tmp_path / "isic.h5")
    splits = {split: read_split(tmp_path / "isic.h5", split, 0).image_id.tolist() for split in ("train", "val", "test")}
    expected = {"train": range(5), "val": range(5, 7), "test": range(7, 10)}
    assert splits == {split: [f"ISIC_{number:07}" for number in numbers] for split, numbers in expected.items()}


def test_an_image_in_two_splits_is_refused(parts, tmp_path):
    for kind in ("images", "masks"):
        for file in parts[kind].glob("ISIC_0000003*"):
            shutil.copy(file, parts[f"test_{kind}"])
    spec = {"format": "isic_challenge", "options": {}, "size": 8, "resize": "area", "split": {}}
    with pytest.raises(UserError, match="image ISIC_0000003 appears twice"):
        prepare(spec, parts, tmp_path / "store" / "isic.h5")
    assert not list((tmp_path / "store").iterdir())


@pytest.mark.parametrize("missing", ["val_images", "val_masks", "test_images", "test_masks"])
def test_half_a_published_split_is_refused(parts, missing):
    del parts[missing]
    with pytest.raises(UserError, match="the published split needs all of val_images, val_masks, test_images and"):
        list(isic_challenge.read(**parts))


def test_a_turned_image_is_refused(isic_folders):
    images, masks = isic_folders
    exif = Image.Exif()
    exif[274] = 6
    save(images / "ISIC_0000000.jpg", np.zeros((32, 24, 3), np.uint8), exif=exif)
    with pytest.raises(UserError, match=r"^ISIC_0000000.jpg has EXIF orientation 6"):
        list(isic_challenge.read(images=images, masks=masks))

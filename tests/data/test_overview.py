import h5py
import numpy as np
import pytest
from helpers.study import SHAPE, blob, write_dataset

from segunc.data import overview as module
from segunc.data.overview import describe, overview, read_images
from segunc.data.store import ImageRecord, write_store
from segunc.runtime.errors import UserError


def test_images_as_they_were_written(tmp_path, monkeypatch):
    missing = {(3, 0), (3, 2), (4, 3)}
    write_dataset(tmp_path / "lung.h5", missing=missing)
    expected = []
    for i in range(6):
        masks = [blob((1 + i / 2 + k / 2) if k < i else 0) for k in range(4) if (i, k) not in missing]
        expected.append((len(masks), sum(mask.any() for mask in masks), np.mean(masks)))
    for block in (module.BLOCK, 1):
        monkeypatch.setattr(module, "BLOCK", block)
        images = read_images(tmp_path / "lung.h5")
        assert images["part"].tolist() == ["train"] * 6 + ["val"] * 6 + ["test"] * 6
        assert images["image_id"][1] == "NA" and images["patient_id"][17] == "test2"
        found = images[["annotators", "votes", "foreground"]].to_numpy()
        np.testing.assert_allclose(found, np.tile(expected, (3, 1)))


def test_only_some_masks_are_in_memory(tmp_path, monkeypatch):
    write_dataset(tmp_path / "lung.h5", images=40)
    monkeypatch.setattr(module, "BLOCK", 20 * 4 * SHAPE[0] * SHAPE[1])
    sizes = []
    read = h5py.Dataset.__getitem__

    def watched(self, where):
        block = read(self, where)
        if self.name == "/masks":
            sizes.append(len(block))
        return block

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    assert len(read_images(tmp_path / "lung.h5")) == sum(sizes) == 120
    assert max(sizes) == 16


def record(key, patient, split, masks):
    mark = np.ones(SHAPE, np.uint8)
    slots = [None if share is None else (np.arange(63).reshape(SHAPE) < share) * mark for share in masks]
    return ImageRecord(np.zeros((3, *SHAPE), np.uint8), slots, key, f"{patient}/g", patient, split)


def test_facts_are_counted(tmp_path):
    records = [
        record("a", "p", "train", [63, 0]),  # marked by one of two, half of the pixels in the mean
        record("b", "p", "train", [0, 0]),
        record("c", "q", "train", [None, 63]),
        record("d", "r", "test", [0, None]),
    ]
    attributes = {
        "spec": {"format": "folder"},
        "exclusions": {"nobody annotated it": 1200},
        "remarks": {"identical to another image of the same patient (a, b)": 2, "odd": 1},
    }
    write_store(tmp_path / "mine.h5", records, lambda patients, published: published, attributes)
    facts = overview(read_images(tmp_path / "mine.h5"))
    assert facts.to_dict() == {
        split: dict(zip(facts.index, values, strict=True))
        for split, values in {
            "train": ("3", "2", "2", "1", "2", "1", "1", "5", "60%", "50%", "5% to 95%"),
            "val": ("0", "0", "0", "0", "0", "0", "0", "0", "", "", ""),
            "test": ("1", "1", "1", "1", "0", "1", "0", "1", "100%", "0%", "0% to 0%"),
            "all": ("4", "3", "3", "2", "2", "2", "1", "6", "67%", "38%", "0% to 92%"),
        }.items()
    }
    assert facts.index.tolist() == [
        *("images", "patients", "nodules or lesions", "images of 1 annotator", "images of 2 annotators"),
        *("images with no foreground annotation", "images with partial agreement", "masks", "empty masks"),
        *("foreground pixels, mean", "foreground pixels, 5% to 95%"),
    ]
    lines = describe(tmp_path / "mine.h5").splitlines()
    assert lines[:2] == [
        "mine: RGB images of 9x7 pixels, 2 slots for annotators",
        "raw format: folder; left out: 1,200 (nobody annotated it)",
    ]
    assert lines[2:4] == [
        "remark: 2 images: identical to another image of the same patient (a, b)",
        "remark: 1 image: odd",
    ]
    assert lines[4].split() == ["train", "val", "test", "all"]


def test_folds_are_described_one_by_one(tmp_path):
    records = [record(name, patient, None, [1]) for name, patient in zip("abcdef", "ppqrst", strict=True)]
    write_store(tmp_path / "mine.h5", records, lambda patients, published: [2, 2, 0, 1, 0, 1], {})
    facts = overview(read_images(tmp_path / "mine.h5"))
    assert facts.columns.tolist() == ["fold 0", "fold 1", "fold 2", "all"]
    assert facts.loc["images"].tolist() == ["2", "2", "2", "6"]
    assert facts.loc["patients"].tolist() == ["2", "2", "1", "5"]
    assert describe(tmp_path / "mine.h5").splitlines()[2].split() == ["fold", "0", "fold", "1", "fold", "2", "all"]


def test_nothing_is_added_where_nothing_is_remarkable(tmp_path):
    write_dataset(tmp_path / "lung.h5")
    lines = describe(tmp_path / "lung.h5").splitlines()
    assert lines[1] == "raw format: unknown; left out: none"
    assert lines[2].split() == ["train", "val", "test", "all"]


def test_a_torn_patient_is_named(tmp_path):
    records = [record("a", "p", "train", [1]), record("b", "p", "test", [1])]
    write_store(tmp_path / "mine.h5", records, lambda patients, published: published, {})
    assert "1 of the patients have images in several splits" in describe(tmp_path / "mine.h5")


def test_what_is_not_a_store(tmp_path):
    (tmp_path / "text.h5").write_text("not a store")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["masks"] = np.zeros(3)
    for name in ("text.h5", "other.h5"):
        with pytest.raises(
            UserError, match=rf"{name} is damaged \(.*\); run snakemake, which makes it anew.$"
        ) as error:
            read_images(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r".*gone.h5 does not exist; run snakemake, which makes it."):
        read_images(tmp_path / "gone.h5")

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segunc.data import store
from segunc.data.store import ImageRecord, read_attributes, read_split, write_store


def records(n: int, seed: int, channels: int = 1, truth: bool = False) -> list[ImageRecord]:
    """Records with 1 to 4 slots of which some do not exist."""
    rng = np.random.default_rng(seed)
    made = []
    for k in range(n):
        exists = rng.random(rng.integers(1, 5)) < 0.7
        exists[-1] = True
        masks = [rng.integers(0, 2, (6, 7), np.uint8) if e else None for e in exists]
        image = rng.integers(0, 256, (channels, 6, 7), np.uint8)
        probability = rng.random((6, 7)) if truth else None
        made.append(ImageRecord(image, masks, f"ü{k}", f"group{k // 2}", f"patient{k // 4}", None, probability))
    return made


def splits(patients, published):
    assert published == [None] * len(patients)
    return [("train", "val", "test")[int(patient.removeprefix("patient")) % 3] for patient in patients]


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 40), seed=st.integers(0, 1000), channels=st.sampled_from([1, 3]), truth=st.booleans())
def test_what_is_read_is_what_was_written(tmp_path_factory, n, seed, channels, truth):
    path = tmp_path_factory.mktemp("store") / "data.h5"
    written = records(n, seed, channels, truth)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "BATCH", 7)
        write_store(path, iter(written), splits, {})
        parts = {split: read_split(path, split, 0) for split in ("train", "val", "test")}
    slots = max(len(record.masks) for record in written)
    for split, images in parts.items():
        expected = [r for k, r in enumerate(written) if splits([r.patient_id], [None]) == [split]]
        assert images.images.shape == (len(expected), channels, 6, 7)
        assert images.masks.shape == (len(expected), slots, 6, 7)
        assert images.images.dtype == images.masks.dtype == np.uint8
        assert images.annotated.dtype == bool
        assert (images.annotator_probability is not None) == truth
        assert images.image_id.tolist() == [r.image_id for r in expected]
        assert images.group_id.tolist() == [r.group_id for r in expected]
        assert images.patient_id.tolist() == [r.patient_id for r in expected]
        for row, record in enumerate(expected):
            np.testing.assert_array_equal(images.images[row], record.image)
            masks = [*record.masks, *[None] * (slots - len(record.masks))]
            assert images.annotated[row].tolist() == [mask is not None for mask in masks]
            for slot, mask in enumerate(masks):
                np.testing.assert_array_equal(images.masks[row, slot], 0 if mask is None else mask)
            if truth:
                np.testing.assert_allclose(images.annotator_probability[row], record.probability, atol=5e-4)


def test_folds_are_the_splits_of_a_seed(tmp_path):
    path, fold = tmp_path / "data.h5", [2, 0, 0, 1, 3, 2, 1]
    write_store(path, records(7, 0), lambda patients, published: fold, {})
    ids = np.array([f"ü{k}" for k in range(7)])
    for seed, of_fold in ((0, ("test", "val", "train", "train")), (6, ("train", "train", "test", "val"))):
        for split in ("train", "val", "test"):
            expected = ids[[of_fold[k] == split for k in fold]]
            assert read_split(path, split, seed).image_id.tolist() == expected.tolist()
    with h5py.File(path) as file:
        assert "split" not in file and file["fold"].dtype == np.uint8 and file["fold"].attrs["folds"] == 4


def test_a_fixed_split_is_that_of_every_seed(tmp_path):
    write_store(tmp_path / "data.h5", records(12, 0), splits, {})
    tested = [read_split(tmp_path / "data.h5", "test", seed).image_id.tolist() for seed in (0, 1, 7)]
    assert tested[0] == tested[1] == tested[2] == [f"ü{k}" for k in range(8, 12)]


def test_attributes_are_counted_while_records_stream(tmp_path):
    counts = {"seen": 0}

    def stream():
        for record in records(5, 0):
            counts["seen"] += 1
            yield record

    write_store(tmp_path / "data.h5", stream(), splits, {"exclusions": counts, "spec": {"b": 1, "a": [2]}})
    assert read_attributes(tmp_path / "data.h5") == {"exclusions": {"seen": 5}, "spec": {"a": [2], "b": 1}}


def test_the_same_records_give_the_same_bytes(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_store(tmp_path / name, records(20, 0), splits, {"spec": {}})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_write_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "data.h5"

    def stream():
        yield from records(300, 0)
        raise error

    for before in (None, b"old"):
        if before:
            path.write_bytes(before)
        with pytest.raises(error):
            write_store(path, stream(), splits, {})
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == ({"data.h5": before} if before else {})


def test_layout_is_the_documented_one(tmp_path):
    path = tmp_path / "data.h5"
    write_store(path, records(5, 0, channels=3, truth=True), splits, {})
    with h5py.File(path) as file:
        types = {name: file[name].dtype for name in file}
    text = types.pop("split")
    assert h5py.check_string_dtype(text).encoding == "utf-8"
    assert all(types.pop(name) == text for name in ("image_id", "group_id", "patient_id"))
    assert types == {"images": np.uint8, "masks": np.uint8, "annotated": bool, "annotator_probability": np.float16}

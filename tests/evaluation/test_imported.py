"""Predictions that were made elsewhere: every layout, and every mistake in one sentence."""

import pickle
import zipfile
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from helpers.raw_data import save, zipped
from PIL import Image

from segunc.data.prediction_files import open_predictions
from segunc.data.samples_file import write_ids, write_parts
from segunc.data.store import ImageRecord, read_split, write_store
from segunc.evaluation.imported import write_imported
from segunc.evaluation.predictions import Prediction, read_predictions
from segunc.evaluation.scores import SCORES, score_image
from segunc.runtime.errors import UserError

IDS = {"test": ["p1/a", "p1/b"], "val": ["p2/c"], "train": ["p3/d"]}
SHAPE = (6, 8)
RNG = np.random.default_rng(0)
PROBABILITIES = {i: RNG.random((4, *SHAPE)).astype(np.float32) for of in IDS.values() for i in of}
"""Four samples of each image."""
SPEC = {"options": {"samples": "independent", "pixels": "mask"}, "seed": 0, "raw": ""}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("store") / "mine.h5"
    rng = np.random.default_rng(1)
    records = [
        ImageRecord(
            rng.integers(0, 256, (1, *SHAPE), np.uint8),
            list(rng.integers(0, 2, (3, *SHAPE), np.uint8)),
            image_id,
            image_id,
            image_id[:2],
            split,
        )
        for split, ids in IDS.items()
        for image_id in ids
    ]
    write_store(path, records, lambda patients, published: published, {"spec": {}})
    return path


def flat(image_id: str) -> str:
    return image_id.replace("/", "__")


def predicted_ids() -> list[str]:
    return [*IDS["test"], *IDS["val"]]


def imported(store: Path, source: Path, **options: str) -> list[Prediction]:
    """The predictions of the test images, as `evaluate` reads them."""
    path = store.with_name("samples.h5")
    spec = {**SPEC, "options": {**SPEC["options"], **options}}
    write_imported(path, store, source, spec, "import")
    return list(read_predictions(path, read_split(store, "test", 0), read_split(store, "val", 0)))


def write_npy(folder: Path) -> None:
    folder.mkdir()
    for image_id in predicted_ids():
        np.save(folder / f"{flat(image_id)}.npy", PROBABILITIES[image_id])


def test_probabilities_in_npy(store, tmp_path):
    write_npy(tmp_path / "mine")
    for source in (tmp_path / "mine", zipped(tmp_path / "mine")):
        for image_id, prediction in zip(IDS["test"], imported(store, source), strict=True):
            expected = PROBABILITIES[image_id]
            np.testing.assert_array_equal(prediction.masks, expected > 0.5)
            np.testing.assert_allclose(prediction.probability, expected.mean(axis=0), rtol=1e-6)
            information = prediction.uncertainty - prediction.expected_entropy
            np.testing.assert_allclose(prediction.mutual_information, information, atol=2e-3)
            assert not prediction.exact and prediction.cut != 0.5


def layouts(folder: Path) -> dict[str, Path]:
    """Four masks and their mean of each image, in every layout that can have them."""
    sources = {name: folder / name for name in ("npz", "samples_npz", "sample_folders", "nii", "hdf5.h5")}
    for name in ("npz", "samples_npz"):
        sources[name].mkdir()
    for image_id in predicted_ids():
        masks = PROBABILITIES[image_id] > 0.5
        mean = masks.mean(axis=0, dtype=np.float32)
        np.savez(sources["npz"] / f"{flat(image_id)}.npz", samples=masks, probability=mean)
        np.savez_compressed(sources["samples_npz"] / f"{flat(image_id)}.npz", samples=masks.astype(np.uint8))
        for number, mask in enumerate(masks):
            save(sources["sample_folders"] / f"sample_{number:02}/{image_id}.png", np.uint8(255 * mask))
            path = sources["nii"] / f"fold_{number}/{image_id}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(np.uint8(mask).T[..., None], np.eye(4)), path)
    with h5py.File(sources["hdf5.h5"], "w") as file:
        write_ids(file, "image_id", np.array(predicted_ids()))
        file["samples"] = np.stack([PROBABILITIES[image_id] > 0.5 for image_id in predicted_ids()])
    return sources


def test_masks_are_the_same_in_every_layout(store, tmp_path):
    """To the last digit of every score."""
    test = read_split(store, "test", 0)
    found = {}
    for name, source in layouts(tmp_path).items():
        rows = [score_image("d", "m", 0, test, i, p).row for i, p in enumerate(imported(store, source))]
        found[name] = [[row[score] for score in SCORES] for row in rows]
    first, *others = found.values()
    assert np.isfinite(np.array(first)[:, list(SCORES).index("ged_u")]).all()
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_the_scores_of_sampled_masks_survive_a_round_trip(store, tmp_path):
    """A samples file of segunc, written out as masks and probability: only maps of the samples' entropies are lost."""
    original = tmp_path / "original.h5"
    test, validation = read_split(store, "test", 0), read_split(store, "val", 0)
    (tmp_path / "npz").mkdir()
    with h5py.File(original, "w") as file:
        masks = np.stack([PROBABILITIES[image_id] > 0.5 for image_id in IDS["test"]])
        means = np.stack([PROBABILITIES[image_id].mean(axis=0) for image_id in IDS["test"]])
        of_validation = np.stack([PROBABILITIES[image_id].mean(axis=0) for image_id in IDS["val"]])
        packed = np.packbits(masks.reshape(*masks.shape[:2], -1), axis=-1)
        write_parts(file, [{"samples": packed, "mean_probability": means}], len(masks))
        write_parts(file, [{"validation_probability": of_validation.astype(np.float16)}], 1)
        write_ids(file, "image_id", test.image_id)
        write_ids(file, "validation_image_id", validation.image_id)
        file.attrs.update({"height": SHAPE[0], "width": SHAPE[1], "draws": "independent"})
    for image_id in predicted_ids():
        samples, mean = PROBABILITIES[image_id] > 0.5, PROBABILITIES[image_id].mean(axis=0)
        np.savez(tmp_path / "npz" / f"{flat(image_id)}.npz", samples=samples, probability=mean)
    ours, theirs = read_predictions(original, test, validation), imported(store, tmp_path / "npz")
    for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        rows = [score_image("d", "m", 0, test, i, prediction).row for prediction in (one, other)]
        np.testing.assert_array_equal(*([row[score] for score in SCORES] for row in rows))


def test_annotators_as_predictions_reach_what_they_are(store, tmp_path):
    """The annotations themselves, each equally likely: a GED of 0."""
    test = read_split(store, "test", 0)
    for image_id, masks in zip(test.image_id, test.masks, strict=True):
        (tmp_path / "mine").mkdir(exist_ok=True)
        np.savez(tmp_path / "mine" / f"{flat(image_id)}.npz", samples=masks)
    for i, prediction in enumerate(imported(store, tmp_path / "mine", samples="exact")):
        row = score_image("d", "m", 0, test, i, prediction).row
        assert row["ged_u"] <= 1e-12 and prediction.cut == 0.5
        readings = Prediction(test.masks[i].astype(bool), test.masks[i].mean(axis=0), None, exact=True)
        expected = score_image("d", "m", 0, test, i, readings).row
        assert row["ged_u"] == expected["ged_u"] and row["dice"] == expected["dice"]


def nnunet(path: Path, channels: np.ndarray) -> None:
    """What nnUNetv2_predict --save_probabilities writes of a case: float32 probabilities, a mask, properties."""
    np.savez_compressed(path.with_suffix(".npz"), probabilities=channels[:, None].astype(np.float32))
    Image.fromarray(np.uint8(channels[-1] > 0.5)).save(path.with_suffix(".png"))
    path.with_suffix(".pkl").write_bytes(pickle.dumps({"spacing": [1, 1]}))


def test_folds_of_nnunet(store, tmp_path):
    for fold in (0, 1):
        (tmp_path / f"mine/fold_{fold}").mkdir(parents=True)
        (tmp_path / f"mine/fold_{fold}/dataset.json").write_text("{}")
        for image_id in predicted_ids():
            foreground = PROBABILITIES[image_id][fold]
            nnunet(tmp_path / f"mine/fold_{fold}" / flat(image_id), np.stack([1 - foreground, foreground]))
    predictions = imported(store, tmp_path / "mine", samples="exact")
    for image_id, prediction in zip(IDS["test"], predictions, strict=True):
        np.testing.assert_allclose(prediction.probability, PROBABILITIES[image_id][:2].mean(axis=0), rtol=1e-6)
        assert prediction.masks.shape == (2, *SHAPE) and prediction.exact


def test_regions_of_nnunet_have_no_background(store, tmp_path):
    (tmp_path / "mine").mkdir()
    for image_id in IDS["test"]:
        nnunet(tmp_path / "mine" / flat(image_id), PROBABILITIES[image_id][:1])
    [prediction, _] = imported(store, tmp_path / "mine")
    np.testing.assert_array_equal(prediction.probability, PROBABILITIES["p1/a"][0])
    # One outcome is all that there is.
    assert prediction.exact


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_grey_levels_are_probabilities_if_asked_for(store, tmp_path, dtype, top):
    for image_id in IDS["test"]:
        save(tmp_path / "mine" / f"{image_id}.png", np.rint(top * PROBABILITIES[image_id][0]).astype(dtype))
    [prediction, _] = imported(store, tmp_path / "mine", pixels="probability")
    np.testing.assert_allclose(prediction.probability, PROBABILITIES["p1/a"][0], atol=0.51 / top)


def test_floats_in_nifti_are_probabilities(store, tmp_path):
    for image_id in IDS["test"]:
        path = tmp_path / "mine" / f"{image_id}.nii"
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(PROBABILITIES[image_id][0].T, np.eye(4)), path)
    [prediction, _] = imported(store, tmp_path / "mine")
    np.testing.assert_array_equal(prediction.probability, PROBABILITIES["p1/a"][0])


def test_probabilities_in_one_hdf5_file(store, tmp_path):
    with h5py.File(tmp_path / "mine.hdf5", "w") as file:
        write_ids(file, "image_id", np.array(IDS["test"]))
        file["probability"] = np.stack([PROBABILITIES[image_id] for image_id in IDS["test"]])
    [prediction, _] = imported(store, tmp_path / "mine.hdf5")
    np.testing.assert_array_equal(prediction.masks, PROBABILITIES["p1/a"] > 0.5)


A = "p1__a"


def _npz(**arrays: np.ndarray):
    return lambda folder: np.savez(folder / f"{A}.npz", **arrays) or (folder / f"{A}.npy").unlink()


def _npy(values: np.ndarray, **options: bool):
    return lambda folder: np.save(folder / f"{A}.npy", values, **options)


def _instead(suffix: str, write):
    def damage(folder: Path) -> None:
        (folder / f"{A}.npy").unlink()
        write(folder / f"{A}{suffix}")

    return damage


def _volume(values: np.ndarray):
    return lambda path: nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)


def _into_folders(folder: Path) -> None:
    for name in ("sample_0", "sample_1"):
        (folder / name).mkdir()
        for path in [*folder.glob("*.npy")]:
            np.save(folder / name / path.name, np.load(path)[0])
    for path in [*folder.glob("*.npy")]:
        path.unlink()


def _one_less(folder: Path) -> None:
    _into_folders(folder)
    (folder / "sample_1" / f"{A}.npy").unlink()


def _beside_folders(folder: Path) -> None:
    _into_folders(folder)
    np.save(folder / f"{A}.npy", PROBABILITIES["p1/a"])


def _several_in_a_sample(folder: Path) -> None:
    _into_folders(folder)
    np.save(folder / "sample_1" / f"{A}.npy", PROBABILITIES["p1/a"])


def _mixed_samples(folder: Path) -> None:
    _into_folders(folder)
    (folder / "sample_1" / f"{A}.npy").unlink()
    save(folder / "sample_1" / f"{A}.png", np.zeros(SHAPE, np.uint8))


ONE = PROBABILITIES["p1/a"][0]
BAD = {
    "no test image": (lambda f: (f / f"{A}.npy").unlink(), r"no prediction of 1 of 2 test images, such as p1/a; add"),
    "unknown id": (lambda f: np.save(f / "p9__z.npy", ONE), r"predictions of no image of the dataset: p9__z.npy; "),
    "empty folder": (lambda f: [p.unlink() for p in f.iterdir()], r"has no prediction such as <id>.npz; name the"),
    "other files": (lambda f: (f / "a.gif").write_bytes(b""), r"has 1 file\(s\) other than <id>.npz, .npy, .nii.gz"),
    "same id twice": (lambda f: save(f / f"{A}.png", np.zeros(SHAPE, np.uint8)), r"have the same id, but differ"),
    "fewer samples": (_npy(PROBABILITIES["p1/a"][:2]), r"has 4 samples of p1/b, but 2 of others; give each image"),
    "transposed": (_npy(ONE.T), r"p1__a.npy in .* has the shape \(8, 6\), but its image needs \(6, 8\) or \(S, 6, 8"),
    "no samples": (_npy(ONE[:0]), r"has the shape \(0, 8\), but its image needs"),
    "logits": (
        _npy(ONE * 9 - 4),
        r"has values from -3.98 to 4.97, but probabilities are in \[0, 1\]; logits need a sigm",
    ),
    "0 and 255": (_npy(np.full(SHAPE, 255, np.uint8)), r"from 255 to 255, .*; masks of 0 and 255 are divided by 255"),
    "NaN": (_npy(np.where(ONE > 0.5, ONE, np.nan)), r"p1__a.npy in .* has NaN; predict again"),
    "infinity": (_npy(np.where(ONE > 0.5, ONE, np.inf)), r"has values from .* to inf, but probabilities are in"),
    "complex": (_npy(ONE + 0j), r"has complex64 values, but numbers are needed; convert it"),
    "pickle": (_npy(np.array([{}]), allow_pickle=True), r"cannot be read as a NumPy array \(Object arrays cannot be"),
    "damaged npy": (lambda f: (f / f"{A}.npy").write_bytes(b"\x93NUMPY"), r"cannot be read as a NumPy array"),
    "damaged npz": (_instead(".npz", lambda p: p.write_bytes(b"PK")), r"as an NPZ file \(File is not a zip file\)"),
    "npy called npz": (_instead(".npz", lambda p: p.write_bytes(b"\x93NUMPY\x01\x00")), r"is an NPY file, not an NPZ"),
    "other names": (_npz(softmax=ONE[None]), r"has softmax, but samples, probability or probabil"),
    "both kinds": (
        _npz(samples=ONE[None] > 0.5, probabilities=ONE[None]),
        r"probabilities of nnU-Net and samples; ",
    ),
    "samples twice": (_npz(samples=ONE[None] > 0.5, probability=ONE[None]), r"has samples and several probabilities"),
    "grey samples": (_npz(samples=PROBABILITIES["p1/a"]), r"has samples of 0\.\d+, .*, but masks are 0 and 1"),
    "flat samples": (_npz(samples=ONE > 0.5), r"has the shape \(6, 8\), but its image needs"),
    "channels": (
        _npz(probabilities=np.stack([ONE, ONE])),
        r"has channels that sum to .* at a pixel, but those",
    ),
    "channels of 3-D": (_npz(probabilities=np.zeros((2, 3, *SHAPE))), r"has probabilities of the shape \(2, 3, 6, 8\)"),
    "logits of nnU-Net": (_npz(probabilities=np.stack([-ONE, 1 + ONE])), r"has values from -.*; logits need a sigmoid"),
    "grey png": (_instead(".png", lambda p: save(p, np.uint8(99 * ONE))), r"but a mask has only 0 and 255"),
    "large png": (
        _instead(".png", lambda p: save(p, np.zeros((9, 9), np.uint8))),
        r"is 9x9 pixels, but its image is",
    ),
    "colours": (_instead(".png", lambda p: save(p, RNG.integers(0, 255, (6, 8, 3), np.uint8))), r"several channels"),
    "slices": (_instead(".nii", _volume(np.zeros((8, 6, 3)))), r"has 3 slices, but a prediction is of one image"),
    "integers in nifti": (_instead(".nii", _volume(np.full((8, 6), 7, np.int16))), r"has samples of 7, but masks are"),
    "damaged nifti": (_instead(".nii.gz", lambda p: p.write_bytes(b"")), r"cannot be read as a NIfTI file"),
    "one sample less": (_one_less, r"sample_1 in .* has no prediction of p1__a; each sample needs it"),
    "beside folders": (_beside_folders, r"has p1__a.npy beside folders of samples; move it into one of them"),
    "several in a folder": (_several_in_a_sample, r"has several samples, but its folder is one sample; split it"),
    "masks and maps": (_mixed_samples, r"has a mask where others are probabilities"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_predictions(store, tmp_path, case):
    damage, sentence = BAD[case]
    write_npy(tmp_path / "mine")
    damage(tmp_path / "mine")
    with pytest.raises(UserError, match=sentence) as error:
        imported(store, tmp_path / "mine")
    assert "\n" not in str(error.value)


def _hdf5(path: Path, **datasets: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            if name == "image_id":
                write_ids(file, name, values)
            else:
                file[name] = values
    return path


@pytest.mark.parametrize(
    ("datasets", "sentence"),
    [
        ({"samples": np.zeros((2, 1, *SHAPE))}, r"needs image_id, and samples or probability; mine.h5 has samples"),
        ({"image_id": np.array(["p1/a", "p1/a"]), "samples": np.zeros((2, 1, *SHAPE))}, r"has an image_id twice"),
        ({"image_id": np.array(["p1/a"]), "probability": np.zeros((2, *SHAPE))}, r"has 1 image_id, but 2 probability"),
    ],
)
def test_bad_hdf5(store, tmp_path, datasets, sentence):
    with pytest.raises(UserError, match=sentence):
        imported(store, _hdf5(tmp_path / "mine.h5", **datasets))


def test_some_validation_images(tmp_path):
    """All of them, or none."""
    path = tmp_path / "store.h5"
    blank = np.zeros((1, *SHAPE), np.uint8)
    ids = [("a", "test"), ("b", "val"), ("c", "val"), ("d", "train")]
    records = [ImageRecord(blank, [blank[0]], name, name, name, split) for name, split in ids]
    write_store(path, records, lambda patients, published: published, {"spec": {}})
    for name in ("a", "b"):
        save(tmp_path / f"mine/{name}.png", blank[0])
    with pytest.raises(UserError, match=r"has no prediction of 1 of 2 validation images, such as c; add them, or rem"):
        imported(path, tmp_path / "mine")


def test_an_archive_without_predictions(tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(UserError, match="has no prediction"), open_predictions(tmp_path / "mine.zip"):
        pass

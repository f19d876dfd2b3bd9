import csv
import json

import h5py
import numpy as np
import pytest
from helpers.raw_data import save
from PIL import Image

from segunc.commands import export_store
from segunc.data.export import export_images, export_nnunet
from segunc.data.formats import raters
from segunc.data.preparation import prepare
from segunc.data.store import read_split
from segunc.runtime.errors import UserError

PATIENTS = [f"p{number}" for number in range(6)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two images of each of six patients, with three annotators; the last one saw only the first of them."""
    root = tmp_path_factory.mktemp("export")
    rng = np.random.default_rng(0)
    rows = ["image,patient,group"]
    for patient in PATIENTS:
        for name in ("a", "b"):
            save(root / f"raw/images/{patient}/{name}.png", rng.integers(0, 256, (8, 8, 3), np.uint8))
            rows.append(f"{patient}/{name},{patient},g")
            for annotator in ("x", "y", *(["z"] if name == "a" else [])):
                save(root / f"raw/masks/{annotator}/{patient}/{name}.png", rng.integers(0, 2, (8, 8), np.uint8))
    (root / "patients.csv").write_text("\n".join(rows))
    spec = {"format": "folder", "options": {"channels": 3}, "size": 8, "resize": "crop"}
    raw = {"data": root / "raw", "patients": root / "patients.csv"}
    prepare({**spec, "split": {"folds": 3, "seed": 0}}, raw, root / "mine.h5")
    return root / "mine.h5"


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def same(first, second):
    with h5py.File(first) as one, h5py.File(second) as two:
        return all((one[name][:] == two[name][:]).all() for name in ("images", "masks", "annotated", "patient_id"))


def test_images_are_read_back_by_the_format_folder(store, tmp_path):
    assert export_images(store, tmp_path / "out") == 12
    spec = {"format": "folder", "options": {"channels": 3}, "size": 8, "resize": "crop"}
    raw = {"data": tmp_path / "out", "patients": tmp_path / "out/images.csv"}
    (tmp_path / "out/template").rename(tmp_path / "template")
    prepare({**spec, "split": {"folds": 3, "seed": 0}}, raw, tmp_path / "again.h5")
    assert same(store, tmp_path / "again.h5")


def test_the_csv_has_the_split_of_every_seed(store, tmp_path):
    export_images(store, tmp_path / "out")
    rows = {row["image"]: row for row in table(tmp_path / "out/images.csv")}
    for seed in range(3):
        for split in ("train", "val", "test"):
            named = [name for name, row in rows.items() if row[f"split_seed{seed}"] == split]
            assert named == read_split(store, split, seed).image_id.tolist()
    expected = table(tmp_path / "out/template/expected.csv")
    assert expected[0] == {"id": "p0/a", "file": "p0__a.npy", "height": "8", "width": "8"}
    assert np.load(tmp_path / "out/template/p0__a.npy").shape == (8, 8)


def test_nnunet_has_what_it_needs(store, tmp_path):
    to = tmp_path / "Dataset101_mine"
    assert export_nnunet(store, to, "majority", seed=1) == 12
    test = read_split(store, "test", 1)
    cases = {row["case"]: row for row in table(to / "cases.csv")}
    assert {path.name for path in (to / "imagesTs").iterdir()} == {
        f"{key.replace('/', '__')}_0000.png" for key in test.image_id
    }
    assert json.loads((to / "dataset.json").read_text()) == {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "foreground": 1},
        "numTraining": 8,
        "file_ending": ".png",
    }
    folds = json.loads((to / "splits_final.json").read_text())
    assert len(folds) == 2 and {cases[case]["split"] for case in folds[0]["val"]} == {"val"}
    for fold in folds:
        patients = [{cases[case]["patient"] for case in fold[part]} for part in ("train", "val")]
        assert not set.intersection(*patients) and set.union(*patients) | set(test.patient_id) == set(PATIENTS)
    image = np.array(Image.open(to / "imagesTs" / f"{test.image_id[0].replace('/', '__')}_0000.png"))
    np.testing.assert_array_equal(image.transpose(2, 0, 1), test.images[0])
    label = np.array(Image.open(to / "labelsTs" / f"{test.image_id[0].replace('/', '__')}.png"))
    own = test.masks[0][test.annotated[0]]
    np.testing.assert_array_equal(label, own.mean(axis=0) >= 0.5)


def test_raters_are_read_back(store, tmp_path):
    to = tmp_path / "Dataset101_mine"
    export_nnunet(store, to, "majority", seed=0)
    for part in ("labelsTr", "labelsTs", "imagesTs"):
        for path in (to / part).iterdir():
            if part == "imagesTs":
                path.rename(to / "imagesTr" / path.name)
    entries = {entry.image_id: entry for entry in raters.read(data=to, channels=3)}
    for split in ("train", "val", "test"):
        images = read_split(store, split, 0)
        for number, image_id in enumerate(images.image_id):
            entry = entries[image_id.replace("/", "__")]
            np.testing.assert_array_equal(entry.image, images.images[number])
            for slot, mask in enumerate(entry.masks):
                assert (mask is not None) == images.annotated[number, slot]
                assert mask is None or (mask == images.masks[number, slot]).all()


def test_label_of_a_random_annotator_and_of_each(store, tmp_path):
    one, again, other = (tmp_path / name / "Dataset101_mine" for name in ("one", "again", "other"))
    for to in (one, again):
        to.parent.mkdir()
        export_nnunet(store, to, "random", seed=0)
    labels = [{path.name: path.read_bytes() for path in (to / "labelsTr").iterdir()} for to in (one, again)]
    assert labels[0] == labels[1]
    for name, content in labels[0].items():
        ours = {(one / "labels_raters" / f"{name[:-4]}_{slot}.png") for slot in range(3)}
        assert content in {path.read_bytes() for path in ours if path.exists()}
    other.parent.mkdir()
    # Four images of training and validation patients have three annotators, four have two; test images are as they are.
    assert export_nnunet(store, other, "each", seed=0) == 4 * 3 + 4 * 2 + 4


def test_bad_requests(store, tmp_path, capsys):
    with pytest.raises(UserError, match=r"is not called Dataset<three digits>_<name>"):
        export_nnunet(store, tmp_path / "mine", "each", seed=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(UserError, match=r"full exists and is not an empty folder; name a new one"):
        export_images(store, tmp_path / "full")
    with pytest.raises(UserError, match=r"nothing.h5"):
        export_images(tmp_path / "nothing.h5", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    assert export_store.main([str(store), "--to", str(tmp_path / "new")]) == 0
    assert "12 images of " in capsys.readouterr().out

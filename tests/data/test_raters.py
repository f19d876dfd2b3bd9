import gzip

import nibabel
import numpy as np
import pytest
from helpers.raw_data import save, zipped

from segunc.data.formats import raters
from segunc.data.preparation import prepare
from segunc.data.store import Dropped, read_split
from segunc.runtime.errors import UserError

AFFINE = np.diag([0.7, 0.7, 2.5, 1.0])


def save_volume(path, values, affine=AFFINE):
    """Writes (D, H, W) as a NIfTI file, whose axes are x, y and z."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.asarray(values).T, affine), path)


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (9, 12), np.uint8)


def label_map(seed):
    return np.random.default_rng(100 + seed).integers(0, 3, (9, 12), np.uint8)


def records(data, **options):
    return list(raters.read(data=data, **options))


@pytest.fixture
def flat(tmp_path):
    """Three pictures: two raters and a consensus, one other rater, none."""
    root = tmp_path / "Dataset001_eyes"
    for number, case in enumerate(("eye_2", "eye_10", "eye_11")):
        save(root / f"imagesTr/{case}_0000.png", picture(number))
    save(root / "imagesTr/eye_2_0001.png", picture(9))
    for number, name in enumerate(("eye_2_A", "eye_2_B", "eye_10_C")):
        save(root / f"labelsTr/{name}.png", label_map(number))
    save(root / "labelsTr/eye_2.png", label_map(7))
    save(root / "labelsTr/eye_2_staple.png", label_map(8))
    (root / "dataset.json").write_text("{}")
    return root


def test_raters_may_differ_from_case_to_case(flat):
    first, second, left_out = records(flat)
    assert [first.image_id, second.image_id] == ["eye_2", "eye_10"] and left_out == Dropped("eye_11", "nobody rated it")
    np.testing.assert_array_equal(first.image, picture(0)[None])
    for mask, expected in zip(first.masks, (label_map(0) > 0, label_map(1) > 0), strict=False):
        np.testing.assert_array_equal(mask, expected)
    assert first.masks[2] is None and second.masks[:2] == [None, None]
    np.testing.assert_array_equal(second.masks[2], label_map(2) > 0)
    assert records(zipped(flat))[0].masks[2] is None


@pytest.mark.parametrize(("foreground", "expected"), [(2, [2]), ([1, 2], [1, 2]), (None, [1, 2])])
def test_foreground_is_one_label_or_several(flat, foreground, expected):
    mask = records(flat, foreground=foreground)[0].masks[0]
    np.testing.assert_array_equal(mask, np.isin(label_map(0), expected))


def test_another_modality(flat):
    (flat / "imagesTr/eye_10_0000.png").unlink()
    (flat / "imagesTr/eye_11_0000.png").unlink()
    (flat / "labelsTr/eye_10_C.png").unlink()
    [only] = records(flat, modality=1)
    np.testing.assert_array_equal(only.image, picture(9)[None])


def test_a_csv_of_patients_and_raters(flat, tmp_path):
    table = tmp_path / "cases.csv"
    table.write_text("image,patient,raters\neye_2,Anna,Li Kim\neye_10_0000.png,Bo,Kim\neye_11,Bo,\n")
    first, second, _ = records(flat, patients=table)
    assert [first.patient_id, second.patient_id] == ["Anna", "Bo"]
    # Kim, Li: in natural order, and the same person in both cases.
    np.testing.assert_array_equal(first.masks[0], label_map(1) > 0)
    np.testing.assert_array_equal(second.masks[0], label_map(2) > 0)
    assert second.masks[1] is None


@pytest.fixture
def volumes(tmp_path):
    """A volume of four slices by two raters: one marks slice 1, the other slices 1 and 2."""
    root = tmp_path / "volumes"
    image = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6) - 1000
    one, two = np.zeros((2, 4, 5, 6), np.uint8)
    one[1, 2, 3] = two[1, 2, 3] = two[2, 0, 5] = 1
    save_volume(root / "imagesTr/ct_0000.nii.gz", image)
    save_volume(root / "labelsTr/ct_1.nii.gz", one)
    save_volume(root / "labelsTr/ct_2.nii.gz", two)
    return root


def test_a_volume_is_cut_into_slices_along_its_last_axis(volumes):
    found = records(volumes, intensity=[-1000, -881])
    assert [record.image_id for record in found] == ["ct/001", "ct/002"]
    assert {record.group_id for record in found} == {record.patient_id for record in found} == {"ct"}
    # Rows of a picture are the second axis of the file.
    assert found[0].image.shape == (1, 5, 6) and found[0].masks[0][2, 3] == found[1].masks[1][0, 5] == 1
    assert found[0].image[0, 0, 0] == round(30 / 119 * 255) and not found[1].masks[0].any()
    every = records(volumes, intensity="minmax", slices="all")
    assert len(every) == 4 and every[0].image.min() == 0 and every[3].image.max() == 255


def test_a_prepared_dataset(volumes, tmp_path):
    for number in (1, 2, 3):
        save_volume(volumes / f"imagesTr/ct{number}_0000.nii.gz", np.random.default_rng(number).random((4, 5, 6)))
        for rater in (1, 2):
            save_volume(volumes / f"labelsTr/ct{number}_{rater}.nii.gz", np.ones((4, 5, 6), np.uint8))
    options = {"channels": 1, "modality": 0, "foreground": 1, "intensity": "minmax", "slices": "annotated"}
    spec = {"format": "raters", "options": options, "size": 4, "resize": "crop", "raw": {}}
    prepare({**spec, "split": {"folds": 3, "seed": 0}}, {"data": volumes}, tmp_path / "ct.h5")
    test = read_split(tmp_path / "ct.h5", "test", 0)
    assert test.masks.shape[1:] == (2, 4, 4) and set(test.group_id) == set(test.patient_id)


@pytest.mark.parametrize(
    ("damage", "options", "sentence"),
    [
        (lambda r: save(r / "imagesTr/eye.png", picture(0)), {}, r"eye.png .* is not called <case>_<modality>"),
        (lambda r: save(r / "labelsTr/nose_A.png", label_map(0)), {}, r"nose_A.png .* label map without an image"),
        (lambda r: save(r / "imagesTr/eye_0000.png", picture(0)), {}, r"may be of the case eye_2, or of eye by 2"),
        (lambda r: save(r / "labelsTr/eye_2_A.png", label_map(0)[:4]), {}, r"is 12x4 pixels, but its image is 12x9"),
        (lambda r: save(r / "labelsTs/eye_2_A.png", label_map(5)), {}, r"have the same case, but differ"),
        (lambda r: (r / "imagesTr/eye_2.gif").write_bytes(b"GIF89a"), {}, r"file\(s\) other than images"),
        (
            lambda r: save_volume(r / "labelsTr/eye_2_Z.nii.gz", label_map(0)[None]),
            {},
            r"is a volume, but .* a picture",
        ),
        (lambda r: None, {"foreground": []}, r"the option foreground is \[\], but must be a label number"),
        (lambda r: None, {"modality": 7}, r"has no images\*/<case>_0007.png"),
    ],
)
def test_bad_files_of_pictures(flat, damage, options, sentence):
    damage(flat)
    with pytest.raises(UserError, match=sentence):
        records(flat, **options)


@pytest.mark.parametrize(
    ("damage", "options", "sentence"),
    [
        (lambda r: None, {}, r"has float32 values, but 8-bit grey is needed; set the option intensity"),
        (lambda r: None, {"channels": 3}, r"is grey, as all of NIfTI; set the option channels to 1"),
        (lambda r: save_volume(r / "labelsTr/ct_2.nii.gz", np.zeros((3, 5, 6), np.uint8)), {}, r"has the shape"),
        (lambda r: save_volume(r / "labelsTr/ct_3.nii", np.full((4, 5, 6), 0.5, np.float32)), {}, r"no label numbers"),
        (lambda r: save_volume(r / "labelsTr/ct_3.nii.gz", np.zeros((4, 5, 6), np.uint8), np.eye(4)), {}, r"affine"),
        (lambda r: save(r / "labelsTr/ct_3.png", np.zeros((5, 6), np.uint8)), {}, r"is a picture, but .* is a volume"),
        (lambda r: (r / "labelsTr/ct_3.nii.gz").write_bytes(gzip.compress(b"abc")), {}, r"cannot be read as a NIfTI"),
        (lambda r: (r / "labelsTr/ct_3.nii.gz").write_bytes(b"abc"), {}, r"cannot be read as a NIfTI file"),
    ],
)
def test_bad_volumes(volumes, damage, options, sentence):
    damage(volumes)
    given = options if options or "intensity" in sentence else {"intensity": "minmax"}
    with pytest.raises(UserError, match=sentence):
        records(volumes, **given)


def test_a_csv_that_names_other_raters(flat, tmp_path):
    table = tmp_path / "cases.csv"
    table.write_text("image,patient,raters\neye_2,a,X Y Z\neye_10,b,\neye_11,c,\n")
    with pytest.raises(UserError, match=r"line 2 of .* names the raters X Y Z, but eye_2 has 2 label map"):
        records(flat, patients=table)

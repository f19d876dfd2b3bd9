import numpy as np
import pytest

from segunc.data.duplicates import content, groups_of, identical_images, similar_patients, visible

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (3, 4, 6), np.uint8)


def test_only_identical_pixels_have_the_same_content():
    assert content(IMAGE) == content(np.asfortranarray(IMAGE)) == content(IMAGE.copy())
    changed = IMAGE.copy()
    changed[2, 3, 5] ^= 1
    others = [changed, IMAGE.transpose(0, 2, 1), IMAGE.reshape(3, 6, 4), IMAGE[:1], IMAGE[:, ::-1]]
    assert len({content(image) for image in [IMAGE, *others]}) == 6


@pytest.mark.parametrize("colour", [[0], [255], [10, 20, 30]])
def test_images_of_one_colour_are_no_duplicates(colour):
    image = np.broadcast_to(np.array(colour, np.uint8)[:, None, None], (len(colour), 4, 6))
    assert content(image) == ""
    assert groups_of([content(image), content(image)]) == []


def test_groups_in_order():
    assert groups_of(["b", "a", "", "b", "c", "a", "", "b"]) == [[0, 3, 7], [1, 5]]


def test_identical_images_are_counted_by_what_they_share():
    ids, patients = list("abcdefg"), ["p", "p", "p", "q", "r", "s", "p"]
    splits = ["train", "train", "train", "train", "train", "test", "train"]
    assert identical_images([[0, 1, 6], [2, 3], [4, 5]], ids, patients, splits) == {
        "identical to another image of the same patient (a, b, g)": 3,
        "identical to an image of another patient, kept in the same split (c, d)": 2,
        "identical to an image in another split (e, f)": 2,
    }
    assert identical_images([], ids, patients, splits) == {}


def test_a_remark_names_a_few():
    ids = [f"{'long' * 40}{image}" for image in range(40)]
    groups = [[image, image + 10, image + 20, image + 30] for image in range(10)]
    [(remark, count)] = identical_images(groups, ids, ["p"] * 40, ["train"] * 40).items()
    assert count == 40 and len(remark) < 700
    assert remark.endswith("long22, ...; ...)") and "long0, " in remark and "long3" not in remark


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("q0", "q0\u200b"),
        ("q0", "\ufeffq0"),
        ("q0", "q\u00ad0"),
        ("q0", "q0\u202e"),
        ("q0", "q0\ufe0f"),
        ("q 0", "q\u00a00"),
        ("q 0", "q  0"),
        ("q0", " q0\t"),
        ("\u00e9", "e\u0301"),
    ],
)
def test_ids_that_look_the_same(one, other):
    assert visible(one) == visible(other)


@pytest.mark.parametrize(("one", "other"), [("q0", "Q0"), ("q0", "q 0"), ("q0", "\uff510"), ("STRASSE", "straße")])
def test_ids_that_look_similar(one, other):
    assert visible(one) != visible(other)
    [(remark, count)] = similar_patients([one, "x", other, other]).items()
    assert count == 3
    assert remark == f"the patient's id differs from another only in case, width or spaces ({one}, {other})"


@pytest.mark.parametrize("ids", [["q0", "q0", "q00", "q-0", "q_0", "q0.0", "0q", "q"], []])
def test_ids_that_differ(ids):
    assert similar_patients(ids) == {}
    assert len({visible(patient) for patient in ids}) == len(set(ids))

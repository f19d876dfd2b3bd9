import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segunc.data.splits import check_split, deal_folds, split_patients
from segunc.data.store import SPLITS, split_of_folds
from segunc.runtime.errors import UserError

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
patients = st.lists(st.text(min_size=1, max_size=4), min_size=3, max_size=40, unique=True)


@given(patients, st.integers(0, 1000))
def test_every_patient_gets_one_side_and_every_side_a_patient(ids, seed):
    splits = split_patients(ids, **SHARES, seed=seed)
    assert set(splits) == set(ids)
    assert set(splits.values()) == {"train", "val", "test"}
    for split, share in SHARES.items():
        assert abs(list(splits.values()).count(split) - share * len(ids)) <= 1.5


@given(patients, st.integers(0, 1000))
def test_neither_order_nor_number_of_images_matters(ids, seed):
    images = ids * 3
    random.Random(seed).shuffle(images)
    assert split_patients(images, **SHARES, seed=seed) == split_patients(ids, **SHARES, seed=seed)


@given(patients, st.integers(0, 1000))
def test_without_ties_one_side_is_filled_after_the_other(ids, seed):
    """Results depend on these splits, as on the next one."""
    splits = split_patients(ids, **SHARES, seed=seed)
    shuffled = [sorted(ids)[k] for k in np.random.default_rng(seed).permutation(len(ids))]
    sides = [splits[patient] for patient in shuffled]
    assert sides == sorted(sides, key=list(SHARES).index)


def test_a_known_split():
    splits = split_patients([f"p{k}" for k in range(10)], **SHARES, seed=0)
    assert [patient for patient, split in splits.items() if split != "train"] == ["p0", "p8", "p1"]
    assert [splits[patient] for patient in ("p0", "p8", "p1")] == ["val", "val", "test"]


def draw_ties(ids, data):
    """Groups of tied patients, and all patients in the groups that are tied directly or through others."""
    tied = data.draw(st.lists(st.lists(st.sampled_from(ids), min_size=1, max_size=4), max_size=6))
    units = [{patient} for patient in ids]
    for group in tied:
        joined = [unit for unit in units if unit & set(group)]
        units = [unit for unit in units if unit not in joined] + [set().union(*joined)]
    return tied, units


@given(patients, st.integers(0, 1000), st.data())
def test_tied_patients_get_one_side(ids, seed, data):
    tied, units = draw_ties(ids, data)
    if len(units) < 3:
        with pytest.raises(UserError, match=r"in \d group\(s\) with identical images cannot be split into"):
            split_patients(ids, **SHARES, seed=seed, tied=tied)
        return
    splits = split_patients(ids, **SHARES, seed=seed, tied=tied)
    assert set(splits) == set(ids) and set(splits.values()) == {"train", "val", "test"}
    assert all(len({splits[patient] for patient in unit}) == 1 for unit in units)
    assert splits == split_patients(ids[::-1], **SHARES, seed=seed, tied=[group[::-1] for group in tied[::-1]])


@given(patients, st.integers(0, 1000))
def test_ties_within_a_patient_change_nothing(ids, seed):
    assert split_patients(ids, **SHARES, seed=seed, tied=[{patient} for patient in ids]) == split_patients(
        ids, **SHARES, seed=seed
    )


def test_ties_keep_the_shares():
    """Pairs, and one group of a third of all patients, which fits into the training split only."""
    ids = [f"{k:03}" for k in range(120)]
    for tied in ([ids[k : k + 2] for k in range(0, 60, 2)], [ids[:40]], [ids[:40], ids[50:60]]):
        for seed in range(5):
            splits = list(split_patients(ids, **SHARES, seed=seed, tied=tied).values())
            assert [splits.count(split) for split in SHARES] == [84, 18, 18]


def test_shares_are_of_patients_and_exact_where_they_can_be():
    splits = list(split_patients([str(k) for k in range(100)], **SHARES, seed=0).values())
    assert [splits.count(split) for split in SHARES] == [70, 15, 15]


def test_seeds_differ():
    ids = [str(k) for k in range(100)]
    assert split_patients(ids, **SHARES, seed=0) != split_patients(ids, **SHARES, seed=1)


def test_a_side_without_share_stays_empty():
    assert set(split_patients("ab", 0.5, 0, 0.5, seed=0).values()) == {"train", "test"}


def test_too_few_patients():
    with pytest.raises(UserError, match=r"2 patient\(s\) cannot be split into train and val and test; add patients"):
        split_patients(["a", "b", "a"], **SHARES, seed=0)


def test_a_patient_in_two_splits():
    check_split(["a", "a", "b"], ["train", "train", "test"])
    with pytest.raises(UserError, match="patient a is in two splits, train and test"):
        check_split(["a", "b", "a"], ["train", "train", "test"])


def test_an_unknown_side():
    with pytest.raises(UserError, match="patient a has the split 'validation', which is not train, val or test"):
        check_split(["a"], ["validation"])


@given(patients, st.integers(3, 8), st.integers(0, 1000), st.data())
def test_every_patient_is_dealt_into_one_fold(ids, folds, seed, data):
    """Whatever the order and number of the images; tied patients into the same one."""
    tied, units = draw_ties(ids, data)
    if len(units) < folds:
        with pytest.raises(UserError, match=rf"cannot be dealt into {folds} folds; add patients, or set fewer folds"):
            deal_folds(ids, folds, seed, tied)
        return
    fold_of = deal_folds(ids, folds, seed, tied)
    assert set(fold_of) == set(ids) and set(fold_of.values()) == set(range(folds))
    assert all(len({fold_of[patient] for patient in unit}) == 1 for unit in units)
    sizes = [list(fold_of.values()).count(fold) for fold in range(folds)]
    assert max(sizes) - min(sizes) <= max(map(len, units))
    images = ids * 3
    random.Random(seed).shuffle(images)
    assert deal_folds(images, folds, seed, [group[::-1] for group in tied[::-1]]) == fold_of


def test_without_ties_patients_are_dealt_one_by_one():
    """Results depend on these folds."""
    ids = [f"p{k}" for k in range(10)]
    order = np.random.default_rng(0).permutation(10)
    assert deal_folds(ids, 4, seed=0) == {f"p{k}": place % 4 for place, k in enumerate(order)}
    assert deal_folds(ids, 4, seed=0) != deal_folds(ids, 4, seed=1)


def test_too_few_patients_for_folds():
    sentence = "3 patient(s) in 2 group(s) with identical images cannot be dealt into 3 folds; add patients, or set "
    with pytest.raises(UserError) as error:
        deal_folds("abc", 3, 0, tied=["ab"])
    assert str(error.value) == sentence + "fewer folds in the dataset's split."


@given(st.integers(3, 20), st.integers(0, 10**9))
def test_consecutive_seeds_test_and_validate_every_fold_once(folds, first):
    fold = np.arange(folds)
    splits = np.stack([split_of_folds(fold, folds, seed) for seed in range(first, first + folds)])
    for split, times in zip(SPLITS, (folds - 2, 1, 1), strict=True):
        assert (splits == split).sum(axis=0).tolist() == (splits == split).sum(axis=1).tolist() == [times] * folds
    # What one seed tests is what the seed before it validated, and the images may be in any order.
    np.testing.assert_array_equal(splits[1:] == "test", splits[:-1] == "val")
    np.testing.assert_array_equal(split_of_folds(fold[::-1], folds, first), splits[0][::-1])

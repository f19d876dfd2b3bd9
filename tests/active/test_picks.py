"""What is picked against random picks: the null against definitions and against draws."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from helpers.study import blob, write_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from segunc.active import labelled_set, picks
from segunc.active.picks import AVERAGED, COUNTED, compare_count, compare_mean
from segunc.data.store import Images, read_split


def chosen(n, positions):
    return np.isin(np.arange(n), positions)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_null_is_that_of_every_sample_without_replacement(data):
    """All samples of the pool are enumerated; a value may be undefined, and then counts nowhere."""
    n = data.draw(st.integers(1, 7))
    values = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0, 2.5, np.nan]), min_size=n, max_size=n)))
    ids = data.draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    positions = data.draw(st.sets(st.integers(0, n - 1), min_size=1))
    picked = chosen(n, list(positions))

    count = compare_count(ids, picked)
    counts = [len({ids[i] for i in sample}) for sample in combinations(range(n), len(positions))]
    assert count.picks == len({ids[i] for i in positions}) and count.n_picks == len(positions)
    assert (count.pool, count.null_sd) == pytest.approx((np.mean(counts), np.std(counts)), abs=1e-7)

    mean = compare_mean(values, picked)
    defined = ~np.isnan(values)
    assert mean.n_picks == (picked & defined).sum()
    if not mean.n_picks:
        assert np.isnan(mean.picks) and np.isnan(mean.null_sd)
        return
    means = [np.mean(sample) for sample in combinations(values[defined], mean.n_picks)]
    assert mean.picks == pytest.approx(values[picked & defined].mean())
    assert (mean.pool, mean.null_sd) == pytest.approx((np.mean(means), np.std(means)), abs=1e-7)


def test_null_is_that_of_random_draws():
    rng = np.random.default_rng(0)
    ids = rng.choice(40, 200, p=rng.dirichlet(np.full(40, 0.5)))
    comparison = compare_count(ids, chosen(200, range(30)))
    counts = [len(np.unique(rng.choice(ids, 30, replace=False))) for _ in range(10_000)]
    assert comparison.pool == pytest.approx(np.mean(counts), abs=0.1)
    assert comparison.null_sd == pytest.approx(np.std(counts), rel=0.05)


def test_measures_by_hand():
    small, large, nothing = blob(1), blob(2), blob(0)
    images = Images(
        images=np.zeros((4, 1, *small.shape), np.uint8),
        # Nested; one of two existing marks; a single annotator; nobody marks.
        masks=np.stack([[small, large], [small, nothing], [large, nothing], [nothing, nothing]]),
        annotated=np.array([[1, 1], [1, 1], [1, 0], [1, 1]], bool),
        image_id=np.array(list("abcd")),
        group_id=np.array(list("gghh")),
        patient_id=np.array(list("pppp")),
        annotator_probability=None,
    )
    expected = {
        "disputed_pixels": [8, 4, np.nan, 0],
        "disputed_share": [8 / 12, 1, np.nan, np.nan],
        "foreground": [8 / small.size, 2 / small.size, 12 / small.size, 0],
        "split_votes": [0, 1, np.nan, 0],
        "iou_distance": [8 / 12, 1, np.nan, 0],
    }
    assert list(expected) == list(AVERAGED)
    for name, values in expected.items():
        np.testing.assert_allclose(AVERAGED[name](images), values, err_msg=name)


def test_the_pool_of_a_round_is_what_was_not_labelled_before(tmp_path):
    write_dataset(tmp_path / "lung.h5", images=12)
    train = read_split(tmp_path / "lung.h5", "train", 0)
    labelled_set.write(tmp_path / "labelled.csv", train.image_id[[0, 5, 3, 4, 8]], np.array([0, 1, 1, 2, 2]))
    rounds = [("lung", "unet", "start" if round_ == 0 else "random", 0, round_) for round_ in range(3)]
    frame = pd.DataFrame(rounds, columns=["dataset", "model", "strategy", "seed", "round"])
    table = picks.picks(frame, [tmp_path / "lung.h5"], [tmp_path / "labelled.csv"] * 3)
    assert table["round"].tolist() == [1] * 7 + [2] * 7 and table["measure"].tolist() == 2 * [*AVERAGED, *COUNTED]
    measures = picks.measure(train)
    for round_, (free, picked) in {1: ([*range(1, 12)], [5, 3]), 2: ([1, 2, 4, 6, 7, 8, 9, 10, 11], [4, 8])}.items():
        rows = table[table["round"] == round_].set_index("measure")
        assert (rows["n_picks"] == 2).all()
        assert rows["picks"]["disputed_pixels"] == measures["disputed_pixels"][picked].mean()
        assert rows["pool"]["disputed_pixels"] == pytest.approx(measures["disputed_pixels"][free].mean())
        assert rows["picks"]["patients"] == 2

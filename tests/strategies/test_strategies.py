"""Every strategy: the contract of `pick` on any pool, and the answer on pools where it is known."""

import importlib
import inspect
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segunc.catalogue.options import available, constant_of
from segunc.strategies import Needs, Pool, highest

STRATEGIES = available("strategies")


def pick(name, pool, k, seed=0, **options):
    method = importlib.import_module(f"segunc.strategies.{name}")
    return method.pick(pool, k, np.random.default_rng(seed), **options).tolist()


def pool(n=6, labelled=2, **fields):
    """n images and some labelled ones, each of a patient of its own; fields as given."""
    names = np.array([f"p{i}" for i in range(n + labelled)])
    return Pool(names[:n], names[:n], names[n:], names[n:], **fields)


def maps(*scores):
    """(N, 2, 3) maps whose only uncertain pixel has the score."""
    result = np.zeros((len(scores), 2, 3), np.float32)
    result[:, 1, 2] = scores
    return result


def full_pool(n, labelled, seed=0, blank=False):
    """Every field of the pool, random or, if blank, all zero: then every image ties with every other."""
    rng = np.random.default_rng(seed)
    scale = 0 if blank else 1
    patients = np.array([f"patient-{i}" for i in rng.integers(0, 4, n + labelled)])
    groups = np.char.add(patients, np.array([f"/{i}" for i in rng.integers(0, 2, n + labelled)]))
    features = (scale * rng.normal(size=(n + labelled, 3))).astype(np.float32)
    return Pool(
        groups[:n],
        patients[:n],
        groups[n:],
        patients[n:],
        predictive_entropy=(scale * rng.random((n, 2, 3))).astype(np.float32),
        mutual_information=(scale * rng.random((n, 2, 3))).astype(np.float32),
        features=features[:n],
        labelled_features=features[n:],
        foreground=scale * rng.random(n),
        disagreement=scale * rng.random(n),
        disputed_pixels=scale * rng.integers(0, 99, n).astype(float),
    )


def only_what_it_needs(name, everything):
    """The pool as the stage passes it: only with the fields that NEEDS names."""
    fields = {
        "nothing": [],
        "uncertainty": ["predictive_entropy", "mutual_information"],
        "features": ["features", "labelled_features"],
        "annotations": ["foreground", "disagreement", "disputed_pixels"],
    }[constant_of("strategies", name, "NEEDS")]
    unneeded = [field for field in Pool._field_defaults if field not in fields]
    return everything._replace(**dict.fromkeys(unneeded))


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_contract(name, data):
    """k different positions of any pool, down to its last image, equal for equal generators."""
    n = data.draw(st.integers(1, 12))
    k = data.draw(st.integers(1, n))
    seed, labelled, blank = data.draw(st.tuples(st.integers(0, 99), st.integers(1, 4), st.booleans()))
    some = only_what_it_needs(name, full_pool(n, labelled, seed, blank))
    picks = pick(name, some, k, seed)
    assert len(set(picks)) == len(picks) == k
    assert set(picks) <= set(range(n))
    assert picks == pick(name, some, k, seed)


@pytest.mark.parametrize("name", STRATEGIES)
def test_ties_are_random(name):
    """Over many generators, images that do not differ are picked equally often, the first in the file like the last."""
    alike = full_pool(5, 1, blank=True)._replace(
        patient_id=np.array(list("abcde")), group_id=np.array(list("abcde")),
        labelled_patient_id=np.array(["z"]), labelled_group_id=np.array(["z"]),
    )  # fmt: skip
    counts = np.bincount([i for seed in range(400) for i in pick(name, alike, 2, seed)], minlength=5)
    assert counts.sum() == 800
    # Each count is binomial with mean 160 and standard deviation below 10.
    assert (abs(counts - 160) < 45).all()


@pytest.mark.parametrize("name", STRATEGIES)
def test_module_states_what_it_needs_and_its_source(name):
    method = importlib.import_module(f"segunc.strategies.{name}")
    assert method.NEEDS in get_args(Needs)
    assert method.__doc__.startswith(f"`{name}`: ")
    positional = [p for p in inspect.signature(method.pick).parameters.values() if p.kind != p.KEYWORD_ONLY]
    assert [p.name for p in positional] == ["pool", "k", "rng"]


def test_helpers_are_not_strategies():
    with_model = {"entropy", "entropy_mean", "bald", "power_bald", "coreset"}
    assert set(STRATEGIES) == with_model | {
        *("random", "foreground_random", "patient_random", "disagreement", "disputed")
    }


@given(scores=st.lists(st.sampled_from([0.0, 0.5, 1.0, -np.inf, np.inf]), min_size=1), seed=st.integers(0, 9))
def test_highest_is_sorted_and_takes_every_position_once(scores, seed):
    order = highest(np.array(scores), len(scores), np.random.default_rng(seed))
    assert sorted(order) == list(range(len(scores)))
    assert [scores[i] for i in order] == sorted(scores, reverse=True)


def test_entropy_is_the_sum_and_its_mean_corrects_for_the_size():
    small_but_uncertain, large, sure = maps(0.9)[0], np.full((2, 3), 0.4, np.float32), maps(0.04)[0]
    some = pool(3, predictive_entropy=np.stack([sure, small_but_uncertain, large]))
    assert pick("entropy", some, 3) == [2, 1, 0]
    assert pick("entropy_mean", some, 3) == [1, 2, 0]
    # No threshold brings the sure image forward; above 0.5 bit, the large one has nothing uncertain either.
    assert pick("entropy_mean", some, 3, threshold=0.03) == [1, 2, 0]
    assert {pick("entropy_mean", some, 2, seed, threshold=0.5)[1] for seed in range(20)} == {0, 2}


def test_entropy_mean_is_over_the_uncertain_pixels_alone():
    one, two = maps(0.6)[0], maps(0.8)[0]
    two[0, 0] = 0.3
    some = pool(2, predictive_entropy=np.stack([one, two]))
    assert pick("entropy_mean", some, 1) == [0]
    assert pick("entropy_mean", some, 1, threshold=0.3) == [1]


def test_bald_reads_mutual_information_and_entropy_does_not():
    some = pool(3, predictive_entropy=maps(0.9, 0.5, 0.1), mutual_information=maps(0.0, 0.1, 0.05))
    assert pick("bald", some, 3) == [1, 2, 0]
    assert pick("entropy", some, 3) == [0, 1, 2]


def test_power_bald_samples_in_proportion_to_the_powered_score():
    some = pool(3, mutual_information=maps(0.1, 0.3, 0.0))
    firsts = [pick("power_bald", some, 1, seed)[0] for seed in range(2000)]
    assert np.bincount(firsts, minlength=3) / 2000 == pytest.approx([0.25, 0.75, 0], abs=0.04)
    squared = [pick("power_bald", some, 1, seed, beta=2.0)[0] for seed in range(2000)]
    assert np.bincount(squared, minlength=3) / 2000 == pytest.approx([0.1, 0.9, 0], abs=0.04)
    assert {pick("power_bald", some, 3, seed)[2] for seed in range(20)} == {2}


def test_coreset_picks_the_farthest_from_labelled_and_picked():
    features = np.array([[1, 0], [10, 0], [9, 0], [0, 6], [0, 0]], np.float32)
    some = pool(5, features=features, labelled_features=np.array([[0, 0], [0, -1]], np.float32))
    # 10 away; then (0, 6), since (9, 0) is 1 from the first pick; then, 1 away each, (1, 0) or (9, 0).
    assert pick("coreset", some, 2) == [1, 3]
    assert {pick("coreset", some, 3, seed)[2] for seed in range(20)} == {0, 2}
    assert pick("coreset", some, 5)[4] == 4


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_coreset_covers_within_twice_the_best_radius(seed):
    """Gonzalez 1985: greedy k-center is a 2-approximation (here against all pairs, with one labelled image)."""
    points = np.random.default_rng(seed).normal(size=(8, 2)).astype(np.float32)
    some = pool(7, 1, features=points[1:], labelled_features=points[:1])

    def radius(picks):
        centres = points[[0, *(i + 1 for i in picks)]]
        return np.linalg.norm(points[:, None] - centres, axis=2).min(axis=1).max()

    best = min(radius((i, j)) for i in range(7) for j in range(i))
    assert radius(pick("coreset", some, 2)) <= 2 * best + 1e-6


def test_foreground_random_samples_part_by_foreground():
    some = pool(4, foreground=np.array([0.3, 0.1, 0.0, 0.0]))
    all_by_foreground = [pick("foreground_random", some, 1, seed, share=1.0)[0] for seed in range(2000)]
    assert np.bincount(all_by_foreground, minlength=4) / 2000 == pytest.approx([0.75, 0.25, 0, 0], abs=0.04)
    uniform = [pick("foreground_random", some, 1, seed, share=0.0)[0] for seed in range(2000)]
    assert np.bincount(uniform, minlength=4) / 2000 == pytest.approx([0.25] * 4, abs=0.04)
    # Two of three by foreground, and only two images have any: the third is one without.
    assert {tuple(sorted(pick("foreground_random", some, 3, seed))) for seed in range(30)} == {(0, 1, 2), (0, 1, 3)}


def test_patient_random_takes_turns():
    patients = np.array(["a"] * 6 + ["b"] * 2 + ["c"])
    groups = np.array(["a0"] * 4 + ["a1"] * 2 + ["b0", "b1", "c0"])
    some = Pool(groups, patients, np.array(["b1", "c0"]), np.array(["b", "c"]))
    for seed in range(20):
        picks = pick("patient_random", some, 5, seed)
        # `a` has none and catches up; then all three have one: each once more, in any order, `a` in its other nodule.
        assert patients[picks[0]] == "a"
        assert sorted(patients[picks[1:4]]) == ["a", "b", "c"]
        assert {groups[i] for i in picks[:4] if patients[i] == "a"} == {"a0", "a1"}
        assert next(groups[i] for i in picks if patients[i] == "b") == "b0"


@given(n=st.integers(2, 30), k=st.integers(1, 30), seed=st.integers(0, 9))
def test_patient_random_never_leaves_a_patient_two_behind(n, k, seed):
    """As long as the patient has images left."""
    some = full_pool(n, 1, seed)._replace(labelled_patient_id=np.array(["patient-0"]))
    picks = pick("patient_random", some, min(n, k), seed)
    left = set(range(n)) - set(picks)
    counts = {p: np.sum(some.patient_id[picks] == p) + (p == "patient-0") for p in set(some.patient_id)}
    waiting = [counts[some.patient_id[i]] for i in left]
    last = counts[some.patient_id[picks[-1]]]
    assert all(last <= count + 1 for count in waiting)


def test_oracles_pick_where_annotators_disagree_most():
    some = pool(3, disagreement=np.array([0.2, 0.9, 0.5]), disputed_pixels=np.array([7.0, 2.0, 9.0]))
    assert pick("disagreement", some, 2) == [1, 2]
    assert pick("disputed", some, 2) == [2, 0]

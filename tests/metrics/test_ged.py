"""The estimators of the energy distance, compared with its definition in sets and fractions."""

from itertools import product
from math import isnan

import numpy as np
import pytest
from helpers import definitions
from helpers.masks import H, W, pairs, random_masks
from helpers.study import energy_distances
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segunc.metrics.ged import SIZES, annotator_distance, distances, u_statistic, v_statistic

NAMES = {f"ged_{n}" for n in SIZES}
sixteen = arrays(bool, (16, H, W))
some = arrays(bool, st.tuples(st.integers(1, 5), st.just(H), st.just(W)))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("count", [4, 6])
def test_v_statistic_is_the_mean_over_all_subsets_of_the_samples(count, exact):
    samples, annotations = random_masks(count, 0), random_masks(3, 1)
    of_image = distances(samples, annotations, exact=exact)
    for n in range(1, count + 1):
        expected = definitions.energy_distance_of(n, samples, annotations)
        assert v_statistic(of_image, n) == pytest.approx(float(expected), abs=1e-12), n


def test_exact_samples_are_the_whole_distribution():
    for samples, annotations in pairs():
        of_image = distances(samples, annotations, exact=True)
        expected = float(definitions.energy_distance(samples, annotations))
        assert u_statistic(of_image) == pytest.approx(expected, abs=1e-12)
        for n in (len(samples), len(samples) + 1, 1000):
            # One sample at a time has no pair.
            between = 0 if n > 1 else float(definitions.mean_distance(samples, samples))
            assert v_statistic(of_image, n) == pytest.approx(expected + between, abs=1e-12)


def test_u_statistic_leaves_out_the_diagonal():
    for samples, annotations in pairs():
        of_image = distances(samples, annotations, exact=False)
        between = definitions.different(samples)
        expected = 2 * definitions.mean_distance(samples, annotations) - between
        expected -= definitions.mean_distance(annotations, annotations)
        assert u_statistic(of_image) == pytest.approx(float(expected), abs=1e-12, nan_ok=True)
        for n in SIZES[1:]:
            shift = float(between) / n
            assert v_statistic(of_image, n) == pytest.approx(float(expected) + shift, abs=1e-12, nan_ok=True)


READERS = random_masks(3, 9)
"""A population of readers, each equally likely; no two are equal."""


def expectation(estimator, samples, annotators):
    """Of an estimator over all ways to draw samples and annotators from READERS, independently and with replacement."""
    drawn = [np.stack(chosen) for chosen in product(READERS, repeat=samples)]
    judging = [np.stack(chosen) for chosen in product(READERS, repeat=annotators)]
    return float(np.mean([estimator(d, a) for d, a in product(drawn, judging)]))


def test_a_model_that_knows_the_population_of_readers_gets_the_floors():
    spread = float(definitions.mean_distance(READERS, READERS))
    assert spread > 0.3
    found = expectation(lambda d, a: annotator_distance(distances(d, a, exact=False).between_annotators), 1, 2)
    assert found == pytest.approx(spread)

    def independent(name):
        return expectation(lambda d, a: energy_distances(d, a, exact=False)[name], 2, 2)

    assert independent("ged_u") == pytest.approx(spread / 2)
    assert independent("diversity") == pytest.approx(15 / 16 * spread)
    # Two samples are enough for any n.
    for n in (1, 4, 16, 64):
        assert independent(f"ged_{n}") == pytest.approx(spread / 2 + spread / n)
    exact = [energy_distances(READERS, np.stack(a), exact=True) for a in product(READERS, repeat=2)]
    for name in ("ged_4", "ged_u"):
        assert np.mean([scores[name] for scores in exact]) == pytest.approx(spread / 2)
    assert exact[0]["diversity"] == pytest.approx(spread)


def test_a_fresh_reader_is_the_floor_of_one_sample():
    spread = float(definitions.mean_distance(READERS, READERS))
    one = expectation(lambda d, a: energy_distances(d, a, exact=True)["ged_u"], 1, 2)
    assert one == pytest.approx((1 + 1 / 2) * spread)


def test_the_readings_themselves_have_no_distance():
    annotations = random_masks(4, 5)
    scores = energy_distances(annotations, annotations, exact=True)
    spread = float(definitions.mean_distance(annotations, annotations))
    assert spread > 0.3
    for metric in ("ged_4", "ged_8", "ged_16", "ged_64", "ged_u"):
        assert scores[metric] == pytest.approx(0, abs=1e-12)
    assert scores["ged_1"] == scores["diversity"] == pytest.approx(spread)
    assert scores["ged_study_16"] == pytest.approx(2 * spread / 16)


@pytest.mark.parametrize("exact", [False, True])
def test_study_estimator_in_expectation(exact):
    """The study draws 16 masks and 16 annotators with replacement and takes every pair, equal indices included."""
    generator = np.random.default_rng(8)
    outcomes, annotations = random_masks(4, 9), random_masks(3, 10)
    estimates, ours = [], []
    for _ in range(1500):
        samples = outcomes[generator.integers(4, size=16)]
        references = annotations[generator.integers(3, size=16)]
        estimates.append(2 * (1 - _iou(samples, references)).mean() - (1 - _iou(samples, samples)).mean())
        estimates[-1] -= (1 - _iou(references, references)).mean()
        ours.append(energy_distances(outcomes if exact else samples, annotations, exact=exact)["ged_study_16"])
    error = np.hypot(np.std(estimates), np.std(ours)) / np.sqrt(len(estimates))
    assert error < 0.01
    assert abs(np.mean(estimates) - np.mean(ours)) < 4 * error


def _iou(first, second):
    both = (first[:, None] & second).sum(axis=(2, 3))
    either = (first[:, None] | second).sum(axis=(2, 3))
    return np.where(either > 0, both / np.maximum(either, 1), 1)


def test_deterministic_model_gets_the_same_at_every_n():
    scores = energy_distances(random_masks(1, 12), random_masks(4, 11), exact=True)
    assert len({scores[name] for name in (*NAMES, "ged_u")}) == 1
    assert scores["diversity"] == 0


def test_one_independent_sample_says_nothing_about_their_spread():
    samples, annotations = random_masks(1, 13), random_masks(3, 14)
    scores = energy_distances(samples, annotations, exact=False)
    assert scores.pop("ged_1") == pytest.approx(energy_distances(samples, annotations, exact=True)["ged_1"])
    assert all(isnan(value) for value in scores.values())


def test_one_annotator_has_no_diversity_to_match():
    """GED = 2 C - diversity: with one annotator, any diversity of the model is rewarded."""
    samples, annotation = random_masks(16, 13), random_masks(1, 14)
    scores = energy_distances(samples, annotation, exact=False)
    expected = 2 * definitions.mean_distance(samples, annotation)
    assert scores["ged_16"] == pytest.approx(float(expected) - scores["diversity"])
    assert isnan(annotator_distance(distances(samples, annotation, exact=False).between_annotators))


def test_annotator_distance_leaves_out_the_diagonal():
    for samples, annotations in pairs():
        found = annotator_distance(distances(samples, annotations, exact=True).between_annotators)
        assert found == pytest.approx(float(definitions.different(annotations)), abs=1e-12, nan_ok=True)


def test_empty_masks():
    empty, marked = np.zeros((16, H, W), bool), np.ones((4, H, W), bool)
    assert set(energy_distances(empty, empty[:4], exact=True).values()) == {0}
    scores = energy_distances(empty, marked, exact=True)
    assert scores.pop("diversity") == 0
    assert set(scores.values()) == {2}


def test_there_must_be_a_sample():
    with pytest.raises(ValueError, match="there is no sample"):
        distances(np.zeros((0, H, W), bool), np.zeros((1, H, W), bool), exact=False)


@settings(max_examples=40, deadline=None)
@given(sixteen, some, st.booleans())
def test_bounds(samples, annotations, exact):
    scores = energy_distances(samples, annotations, exact=exact)
    for n in (1, 4, 8, 16):
        assert -1e-9 <= scores[f"ged_{n}"] <= 2
    assert scores["ged_u"] <= scores["ged_16"] + 1e-12
    assert scores["ged_study_16"] >= scores["ged_16"] - 1e-12
    assert 0 <= scores["diversity"] <= 15 / 16
    if exact:
        assert scores["ged_u"] == pytest.approx(scores["ged_16"], abs=1e-12)
    else:
        assert scores["ged_u"] - 1e-12 <= scores["ged_64"] <= scores["ged_16"] + 1e-12


@settings(max_examples=40, deadline=None)
@given(sixteen, some, st.booleans(), st.randoms(use_true_random=False))
def test_order_does_not_matter(samples, annotations, exact, random):
    draws, annotators = list(range(16)), list(range(len(annotations)))
    random.shuffle(draws)
    random.shuffle(annotators)
    before = energy_distances(samples, annotations, exact=exact)
    after = energy_distances(samples[draws], annotations[annotators], exact=exact)
    assert after == pytest.approx(before, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(sixteen, some)
def test_bool_and_uint8_are_the_same(samples, annotations):
    as_bool = energy_distances(samples, annotations, exact=False)
    assert energy_distances(samples.astype(np.uint8), annotations.astype(np.uint8), exact=False) == as_bool

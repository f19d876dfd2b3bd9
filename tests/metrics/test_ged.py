from itertools import product

import numpy as np
import pytest
from helpers.study import energy_distances
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segunc.metrics.ged import SIZES

H, W = 4, 5
sixteen = arrays(bool, (16, H, W))
some = arrays(bool, st.tuples(st.integers(1, 5), st.just(H), st.just(W)))


def distance(a, b):
    union = np.logical_or(a, b).sum()
    return 1 - np.logical_and(a, b).sum() / union if union else 0.0


def mean_distance(first, second):
    return sum(distance(a, b) for a, b in product(first, second)) / (len(first) * len(second))


def random_masks(n, seed):
    """Nested and disjoint blobs of many sizes, some empty."""
    generator = np.random.default_rng(seed)
    return generator.random((n, H, W)) < generator.choice([0, 0.2, 0.5, 0.9], size=(n, 1, 1))


def spread(annotations):
    return mean_distance(annotations, annotations)


@pytest.mark.parametrize("draws", [16, 32])
def test_v_statistic_is_its_definition_averaged_over_blocks(draws):
    samples, annotations = random_masks(draws, 0), random_masks(3, 1)
    scores = energy_distances(samples, annotations, exact=False)
    for n in SIZES:
        of_blocks = [
            2 * mean_distance(block, annotations) - mean_distance(block, block) - spread(annotations)
            for block in np.split(samples, draws // n)
        ]
        assert scores[f"ged_{n}"] == pytest.approx(np.mean(of_blocks))


def test_u_statistic_leaves_out_the_diagonal():
    samples, annotations = random_masks(16, 2), random_masks(4, 3)
    pairs = [distance(samples[i], samples[j]) for i, j in product(range(16), repeat=2) if i != j]
    expected = 2 * mean_distance(samples, annotations) - np.mean(pairs) - spread(annotations)
    assert energy_distances(samples, annotations, exact=False)["ged_u_16"] == pytest.approx(expected)


def test_diversity_is_the_mean_over_all_pairs():
    samples = random_masks(16, 4)
    expected = mean_distance(samples, samples)
    assert expected > 0.3
    assert energy_distances(samples, samples[:1], exact=False)["diversity"] == pytest.approx(expected)


def test_perfect_model_with_exact_draws_has_no_distance():
    annotations = random_masks(4, 5)
    scores = energy_distances(np.tile(annotations, (4, 1, 1)), annotations, exact=True)
    assert spread(annotations) > 0.3
    # Each block of 4 holds every annotator once.
    for metric in ("ged_4", "ged_8", "ged_16", "ged_u_16"):
        assert scores[metric] == pytest.approx(0, abs=1e-12)
    assert scores["ged_1"] == pytest.approx(spread(annotations))
    assert scores["diversity"] == pytest.approx(spread(annotations))
    assert scores["ged_study_16"] == pytest.approx(2 * spread(annotations) / 16)


def test_floors_of_a_perfect_model_with_independent_draws():
    generator = np.random.default_rng(6)
    annotations = random_masks(4, 7)
    runs = [
        energy_distances(annotations[generator.integers(4, size=16)], annotations, exact=False) for _ in range(2000)
    ]
    mean = {metric: np.mean([run[metric] for run in runs]) for metric in runs[0]}
    error = {metric: np.std([run[metric] for run in runs]) / np.sqrt(len(runs)) for metric in runs[0]}
    floor = {f"ged_{n}": spread(annotations) / n for n in SIZES}
    floor |= {"ged_u_16": 0, "ged_study_16": 2 * spread(annotations) / 16}
    for metric, expected in floor.items():
        assert abs(mean[metric] - expected) < 4 * error[metric] + 1e-9, metric
        assert error[metric] < 0.01


@pytest.mark.parametrize("exact", [False, True])
def test_study_estimator_in_expectation(exact):
    """The study draws 16 masks and 16 annotators with replacement and takes every pair, equal indices included."""
    generator = np.random.default_rng(8)
    outcomes, annotations = random_masks(4, 9), random_masks(3, 10)
    estimates, ours = [], []
    for _ in range(1500):
        drawn = generator.integers(4, size=16)
        samples = outcomes[drawn]
        references = annotations[generator.integers(3, size=16)]
        estimates.append(2 * (1 - _iou(samples, references)).mean() - (1 - _iou(samples, samples)).mean())
        estimates[-1] -= (1 - _iou(references, references)).mean()
        given = np.tile(outcomes, (4, 1, 1)) if exact else samples
        ours.append(energy_distances(given, annotations, exact=exact)["ged_study_16"])
    error = np.hypot(np.std(estimates), np.std(ours)) / np.sqrt(len(estimates))
    assert error < 0.01
    assert abs(np.mean(estimates) - np.mean(ours)) < 4 * error


def _iou(first, second):
    both = (first[:, None] & second).sum(axis=(2, 3))
    either = (first[:, None] | second).sum(axis=(2, 3))
    return np.where(either > 0, both / np.maximum(either, 1), 1)


def test_deterministic_model_gets_the_same_at_every_n():
    annotations = random_masks(4, 11)
    scores = energy_distances(np.repeat(random_masks(1, 12), 16, axis=0), annotations, exact=True)
    assert len({round(scores[m], 12) for m in ("ged_1", "ged_4", "ged_8", "ged_16", "ged_u_16")}) == 1
    assert scores["diversity"] == 0


def test_one_annotator_has_no_diversity_to_match():
    """GED = 2 A - diversity: with one annotator, any diversity of the model is rewarded."""
    samples, annotation = random_masks(16, 13), random_masks(1, 14)
    scores = energy_distances(samples, annotation, exact=False)
    assert scores["ged_16"] == pytest.approx(2 * mean_distance(samples, annotation) - scores["diversity"])


def test_empty_masks():
    empty, marked = np.zeros((16, H, W), bool), np.ones((4, H, W), bool)
    assert set(energy_distances(empty, empty[:4], exact=True).values()) == {0}
    scores = energy_distances(empty, marked, exact=True)
    assert scores.pop("diversity") == 0
    assert set(scores.values()) == {2}


@pytest.mark.parametrize("draws", [0, 8, 24])
def test_number_of_samples_must_be_a_multiple_of_16(draws):
    with pytest.raises(ValueError, match=f"there are {draws} samples"):
        energy_distances(np.zeros((draws, H, W), bool), np.zeros((1, H, W), bool), exact=False)


@settings(max_examples=40, deadline=None)
@given(sixteen, some, st.booleans())
def test_bounds(samples, annotations, exact):
    scores = energy_distances(samples, annotations, exact=exact)
    for n in SIZES:
        assert -1e-9 <= scores[f"ged_{n}"] <= 2
    assert scores["ged_u_16"] <= scores["ged_16"] + 1e-12
    assert scores["ged_study_16"] >= scores["ged_16"] - 1e-12
    # Each draw has no distance to itself.
    assert 0 <= scores["diversity"] <= 15 / 16
    if exact:
        assert scores["ged_u_16"] == pytest.approx(scores["ged_16"], abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(sixteen, some, st.randoms(use_true_random=False))
def test_order_does_not_matter(samples, annotations, random):
    draws, annotators = list(range(16)), list(range(len(annotations)))
    random.shuffle(draws)
    random.shuffle(annotators)
    before = energy_distances(samples, annotations, exact=False)
    after = energy_distances(samples[draws], annotations[annotators], exact=False)
    for metric in ("ged_1", "ged_16", "ged_u_16", "ged_study_16", "diversity"):
        assert after[metric] == pytest.approx(before[metric], abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(sixteen, some)
def test_bool_and_uint8_are_the_same(samples, annotations):
    as_bool = energy_distances(samples, annotations, exact=False)
    assert energy_distances(samples.astype(np.uint8), annotations.astype(np.uint8), exact=False) == as_bool

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segunc.evaluation.statistics import clustered_mean, holm, paired_comparison

SPEC = {"resamples": 500, "confidence": 0.95, "seed": 0}


def clustered(patients, images, generator, spread=1.0):
    """Values whose patients differ (standard deviation `spread`) more than the images of one patient (0.3)."""
    patient = np.repeat(np.arange(patients), images)
    values = generator.normal(0, spread, patients)[patient] + generator.normal(0, 0.3, patients * images)
    return values, patient.astype(str)


def test_bootstrap_is_that_of_drawing_whole_patients():
    """Against a loop that draws patients and pools their images, with patients of different sizes."""
    generator = np.random.default_rng(0)
    sizes = [1, 2, 3, 8, 5, 4, 6, 2, 9, 1]
    patients = np.repeat(np.arange(len(sizes)), sizes)
    values = generator.normal(10 + patients % 3, 1)
    means = []
    for _ in range(4000):
        drawn = generator.integers(len(sizes), size=len(sizes))
        means.append(np.concatenate([values[patients == p] for p in drawn]).mean())
    ours = clustered_mean(values, patients, resamples=4000, confidence=0.9, seed=1)
    low, high = np.quantile(means, [0.05, 0.95])
    assert ours.mean == pytest.approx(values.mean())
    assert ours.ci_low == pytest.approx(low, abs=0.1 * (high - low))
    assert ours.ci_high == pytest.approx(high, abs=0.1 * (high - low))
    assert ours[3:] == (sum(sizes), len(sizes), 0)


def test_interval_covers_where_one_that_ignores_patients_does_not():
    generator = np.random.default_rng(1)
    spec = {"resamples": 200, "confidence": 0.9, "seed": 0}
    covered = {"patients": 0, "images": 0}
    for _ in range(300):
        values, patients = clustered(30, 8, generator)
        for unit, labels in (("patients", patients), ("images", np.arange(len(values)))):
            interval = clustered_mean(values, labels, **spec)
            covered[unit] += interval.ci_low <= 0 <= interval.ci_high
    assert 0.83 <= covered["patients"] / 300 <= 0.95
    assert covered["images"] / 300 < 0.6


def test_undefined_values_are_left_out_and_counted():
    nan = float("nan")
    values, patients = [1, nan, 3, nan, nan, 5], ["a", "a", "b", "c", "c", "d"]
    result = clustered_mean(values, patients, **SPEC)
    assert result.mean == 3
    assert (result.n_images, result.n_patients, result.n_undefined) == (3, 3, 3)
    assert result[:5] == clustered_mean([1, 3, 5], ["a", "b", "d"], **SPEC)[:5]


def test_nothing_defined():
    result = clustered_mean([float("nan")] * 3, ["a", "b", "c"], **SPEC)
    assert all(isnan(x) for x in result[:3])
    assert result[3:] == (0, 0, 3)


def test_one_patient_has_a_mean_but_no_interval():
    result = clustered_mean([1.0, 2.0], ["a", "a"], **SPEC)
    assert result.mean == 1.5
    assert isnan(result.ci_low) and isnan(result.ci_high)
    comparison = paired_comparison([1.0, 2.0], [0.0, 0.0], ["a", "a"], **SPEC)
    assert comparison.difference == 1.5
    assert isnan(comparison.ci_low) and isnan(comparison.p)


def test_same_seed_same_interval_and_order_of_images_does_not_matter():
    values, patients = clustered(9, 4, np.random.default_rng(2))
    first = clustered_mean(values, patients, **SPEC)
    assert clustered_mean(values, patients, **SPEC) == first
    assert clustered_mean(values[::-1], patients[::-1], **SPEC) == pytest.approx(first)
    assert clustered_mean(values, patients, **{**SPEC, "seed": 1}).ci_low != first.ci_low


def test_wider_confidence_wider_interval():
    values, patients = clustered(12, 3, np.random.default_rng(3))
    narrow, wide = (clustered_mean(values, patients, resamples=500, confidence=c, seed=0) for c in (0.5, 0.99))
    assert wide.ci_low < narrow.ci_low < narrow.mean < narrow.ci_high < wide.ci_high


def test_comparison_is_the_bootstrap_of_the_differences():
    generator = np.random.default_rng(4)
    first, patients = clustered(10, 3, generator)
    second = first - 0.2 + generator.normal(0, 0.1, len(first))
    second[0] = float("nan")
    result = paired_comparison(first, second, patients, **SPEC)
    mean = clustered_mean(first - second, patients, **SPEC)
    assert (result.difference, result.ci_low, result.ci_high) == mean[:3]
    assert (result.n_images, result.n_patients) == (29, 10)
    assert result.p == 2 / 501  # no resampled difference is negative


def test_comparison_is_antisymmetric():
    generator = np.random.default_rng(5)
    first, patients = clustered(8, 3, generator)
    second, _ = clustered(8, 3, generator)
    ab, ba = paired_comparison(first, second, patients, **SPEC), paired_comparison(second, first, patients, **SPEC)
    assert ba.p == ab.p
    assert (ba.difference, ba.ci_low, ba.ci_high) == pytest.approx((-ab.difference, -ab.ci_high, -ab.ci_low))


def test_no_difference_at_all():
    values, patients = clustered(8, 3, np.random.default_rng(6))
    result = paired_comparison(values, values, patients, **SPEC)
    assert (result.difference, result.ci_low, result.ci_high, result.p) == (0, 0, 0, 1)


def test_p_values_under_the_null_are_about_uniform():
    generator = np.random.default_rng(20)
    spec = {"resamples": 200, "confidence": 0.95, "seed": 0}
    p = []
    for _ in range(300):
        difference, patients = clustered(40, 4, generator)
        p.append(paired_comparison(difference, np.zeros_like(difference), patients, **spec).p)
    assert 0.05 <= np.mean(np.array(p) <= 0.1) <= 0.17
    assert 0.4 <= np.mean(np.array(p) <= 0.5) <= 0.6


def test_holm_by_hand():
    # In ascending order 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 * 1, raised to the 0.06 before it.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.9]), [1, 1])


def test_holm_does_not_count_what_was_not_tested():
    np.testing.assert_allclose(holm([0.01, np.nan, 0.03]), [0.02, np.nan, 0.03])
    assert holm([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p):
    adjusted = holm(p)
    assert np.all(adjusted >= p)
    assert np.all(adjusted <= np.minimum(1, len(p) * np.array(p)))
    assert np.all(np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0)

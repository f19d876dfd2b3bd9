from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from segunc.evaluation.statistics import Units, holm, two_way, two_way_statistic

LEVEL = {"confidence": 0.95}


def simulated(generator, patients=22, seeds=3, folds=None, sd_seed=0.0, sd_both=0.0):
    """Values around 0 of images in patients of unequal size, and their units.

    The sd of patients is 1. If there are folds, seed s tests the patients of fold s mod folds.
    """
    images = generator.integers(1, 12, patients)
    patient = np.repeat(np.arange(patients), images)
    of_image = generator.normal(0, 1, patients)[patient] + generator.normal(0, 0.3, len(patient))
    fold = generator.permutation(patients) % (folds or 1)
    columns = []
    for seed in range(seeds):
        values = of_image + generator.normal(0, sd_seed) + generator.normal(0, sd_both, patients)[patient]
        tested = fold[patient] == seed % (folds or 1)
        columns.append((values[tested], np.flatnonzero(tested), patient[tested], np.full(tested.sum(), seed)))
    values, *units = (np.concatenate(column) for column in zip(*columns, strict=True))
    return values, Units(*units)


def by_loops(values, units):
    """Estimate, variance and degrees of freedom as in the docstring of the module, with the jackknife literally."""
    seeds, patients = sorted(set(units.seeds)), sorted(set(units.patients))
    mean = {s: values[units.seeds == s].mean() for s in seeds}
    deleted, share = {}, {}
    for s in seeds:
        tested = set(units.patients[units.seeds == s])
        for p in patients:
            left = values[(units.seeds == s) & (units.patients != p)]
            factor = ((len(tested) - 1) / len(tested)) ** 0.5
            deleted[s, p] = factor * (mean[s] - left.mean()) if p in tested else 0.0
            share[s, p] = ((units.seeds == s) & (units.patients == p)).sum() / (units.seeds == s).sum()
    of_patient = {p: np.mean([deleted[s, p] for s in seeds]) for p in patients}
    mean_share = {p: np.mean([share[s, p] for s in seeds]) for p in patients}
    variance = sum(value**2 for value in of_patient.values())
    df = 1 / sum(value**2 for value in mean_share.values()) - 1
    if len(seeds) > 1:
        between = np.var(list(mean.values()), ddof=1) / len(seeds)
        other = [(share[s, p] / mean_share[p] - 1) * of_patient[p] for s in seeds for p in patients]
        shared = sum(value**2 for value in other) / len(seeds) / (len(seeds) - 1)
        if between > shared:
            whole = variance + between - shared
            df = whole / (max(variance - shared, 0) / df + between / (len(seeds) - 1))
            variance = whole
    return np.mean(list(mean.values())), variance, df


def test_hand_example():
    """Leaving out patient a, b or c moves the mean of 3.5 by -0.75, 0.3 or 0.5."""
    result = two_way([1, 3, 5, 2, 4, 6], Units(range(6), list("aabccc"), [0] * 6), **LEVEL)
    assert result.estimate == 3.5
    assert result.se**2 == pytest.approx(2 / 3 * (0.75**2 + 0.3**2 + 0.5**2))
    assert result.df == pytest.approx(11 / 7)
    assert result.effective_patients == pytest.approx(18 / 7)
    assert all(isnan(value) for value in (result.ci_low, result.ci_high, result.p, result.detectable))
    assert (result.n_seeds, result.n_images, result.n_patients, result.n_undefined) == (1, 6, 3, 0)


@pytest.mark.parametrize("folds", [None, 3])
@pytest.mark.parametrize("seeds", [1, 2, 3, 6])
@pytest.mark.parametrize("sd_seed", [0, 1])
def test_two_way_is_its_definition(seeds, folds, sd_seed):
    generator = np.random.default_rng(seeds)
    for _ in range(5):
        values, units = simulated(generator, 30, seeds, folds, sd_seed, 0.4)
        estimate, variance, df = by_loops(values, units)
        result = two_way(values, units, **LEVEL)
        half = stats.t.ppf(0.975, df) * variance**0.5
        expected = (estimate, estimate - half, estimate + half)
        assert result[:3] == pytest.approx(expected)
        assert (result.se, result.df) == pytest.approx((variance**0.5, df))
        assert result.p == pytest.approx(2 * stats.t.sf(abs(estimate) / variance**0.5, df))
        power = half + stats.t.ppf(0.8, df) * variance**0.5
        assert result.detectable == pytest.approx(power)


def test_one_seed_of_single_images_is_students_t():
    values = np.random.default_rng(0).normal(1, 1, 12)
    result = two_way(values, Units(range(12), range(12), [0] * 12), **LEVEL, null=0.5)
    classic = stats.ttest_1samp(values, 0.5)
    assert result[:4] == pytest.approx((values.mean(), *classic.confidence_interval(0.95), classic.pvalue))


def test_seeds_that_agree_add_nothing_and_seeds_that_differ_by_a_constant_add_their_variance():
    values, units = simulated(np.random.default_rng(1), seeds=1)
    alone = two_way(values, units, **LEVEL)
    four = Units(np.tile(units.images, 4), np.tile(units.patients, 4), np.repeat(range(4), len(values)))
    same = two_way(np.tile(values, 4), four, **LEVEL)
    assert same[:6] == pytest.approx(alone[:6])
    assert same.n_seeds == 4
    shifted = two_way(np.tile(values, 4) + np.repeat([-3, -1, 1, 3], len(values)), four, **LEVEL)
    assert shifted.se**2 == pytest.approx(alone.se**2 + np.var([-3, -1, 1, 3], ddof=1) / 4)
    assert 3 < shifted.df < alone.df


def test_where_each_seed_has_its_own_patients_the_seeds_values_are_independent():
    """The variance is that of the seeds' values, unless patients alone explain more than that."""
    generator = np.random.default_rng(2)
    values, units = simulated(generator, 40, 4, folds=4, sd_seed=3)
    of_seeds = [values[units.seeds == seed].mean() for seed in range(4)]
    result = two_way(values, units, **LEVEL)
    assert (result.se, result.df) == pytest.approx((np.std(of_seeds, ddof=1) / 2, 3))
    level = values - np.array(of_seeds)[units.seeds]
    assert two_way(level, units, **LEVEL).df > 20


def test_undefined_values_are_left_out_and_counted():
    values, units = simulated(np.random.default_rng(3), seeds=2)
    holes = values.copy()
    holes[units.images == 0] = nan
    holes[(units.images == 1) & (units.seeds == 0)] = nan
    defined = ~np.isnan(holes)
    result = two_way(holes, units, **LEVEL)
    assert result[:-1] == two_way(values[defined], Units(*(of[defined] for of in units)), **LEVEL)[:-1]
    assert result.n_undefined == 1
    assert result.n_images == len(set(units.images)) - 1


def test_a_seed_without_values_does_not_count():
    values, units = simulated(np.random.default_rng(4), seeds=3)
    first = units.seeds == 0
    holes = np.where(first, values, nan)
    result = two_way(holes, units, **LEVEL)
    assert result == pytest.approx(two_way(values[first], Units(*(of[first] for of in units)), **LEVEL))
    assert result.n_seeds == 1


def test_nothing_defined():
    result = two_way([nan] * 3, Units(list("abc"), list("aab"), [0, 0, 1]), **LEVEL)
    assert all(isnan(value) for value in result[:7]) and isnan(result.effective_patients)
    assert (result.n_seeds, result.n_images, result.n_patients, result.n_undefined) == (0, 0, 0, 3)


@pytest.mark.parametrize(
    ("sizes", "there"),
    [([1] * 5, False), ([1] * 6, True), ([1, 1, 1, 1, 1, 20], False), ([8, 8, 8, 8, 8, 1, 1], True)],
)
def test_no_interval_of_few_patients_or_few_effective_ones(sizes, there):
    patients = np.repeat(range(len(sizes)), sizes)
    values = np.random.default_rng(5).normal(size=len(patients))
    result = two_way(values, Units(range(len(patients)), patients, [0] * len(patients)), **LEVEL)
    assert isnan(result.ci_low) is isnan(result.ci_high) is isnan(result.p) is isnan(result.detectable) is not there
    assert result.estimate == pytest.approx(values.mean())


def test_no_difference_at_all():
    units = Units(range(8), range(8), [0] * 8)
    result = two_way([0.0] * 8, units, **LEVEL)
    assert (result.estimate, result.ci_low, result.ci_high, result.p, result.se) == (0, 0, 0, 1, 0)
    assert two_way([0.5] * 8, units, **LEVEL).p == 0


def test_order_and_names_do_not_matter():
    generator = np.random.default_rng(6)
    values, units = simulated(generator, seeds=3, folds=3)
    order = generator.permutation(len(values))
    named = Units(*(np.array([f"x{name}" for name in of])[order] for of in units))
    assert two_way(values[order], named, **LEVEL) == pytest.approx(two_way(values, units, **LEVEL))


def test_difference_is_antisymmetric():
    values, units = simulated(np.random.default_rng(7))
    there, back = two_way(values, units, **LEVEL), two_way(-values, units, **LEVEL)
    assert (back.estimate, back.ci_low, back.ci_high, back.p) == pytest.approx(
        (-there.estimate, -there.ci_high, -there.ci_low, there.p)
    )


@pytest.mark.parametrize(
    ("scale", "forward", "null"), [("log", np.log, 2.0), ("logit", lambda x: np.log(x / (1 - x)), 0.5)]
)
def test_scales(scale, forward, null):
    """The interval is symmetric on the scale; its standard error is that of the mean times the slope there."""
    values = np.random.default_rng(8).uniform(0.8, 1, 30)
    units = Units(range(30), range(30), [0] * 30)
    plain = two_way(values, units, **LEVEL)
    result = two_way(values, units, **LEVEL, scale=scale, null=null)
    mean = values.mean()
    slope = (forward(mean + 1e-6) - forward(mean - 1e-6)) / 2e-6
    half = stats.t.ppf(0.975, 29) * plain.se * slope
    assert result.estimate == mean
    assert [forward(result.ci_low), forward(result.ci_high)] == pytest.approx(
        [forward(mean) - half, forward(mean) + half], rel=1e-6
    )
    assert result.p == pytest.approx(2 * stats.t.sf(abs(forward(mean) - forward(null)) / (plain.se * slope), 29))
    assert isnan(result.detectable)
    assert isnan(two_way(values, units, **LEVEL, scale=scale, null=0.0).p)


def test_statistic_that_is_a_mean_is_the_mean():
    for folds in (None, 5):
        values, units = simulated(np.random.default_rng(9), 30, 5, folds, 0.5, 0.3)
        result = two_way_statistic(lambda rows, values=values: values[rows].mean(), units, **LEVEL)
        assert result == pytest.approx(two_way(values, units, **LEVEL))


def test_statistic_is_computed_without_each_patient():
    """Of a ratio, in each seed."""
    generator = np.random.default_rng(10)
    above, units = simulated(generator, 12, 2)
    below = generator.uniform(1, 2, len(above))

    def ratio(rows):
        assert len(set(units.seeds[rows])) == 1 and (np.diff(rows) > 0).all()
        return above[rows].sum() / below[rows].sum()

    result = two_way_statistic(ratio, units, **LEVEL)
    of_seeds = [ratio(np.flatnonzero(units.seeds == s)) for s in (0, 1)]
    moved = np.array(
        [
            [of_seeds[s] - ratio(np.flatnonzero((units.seeds == s) & (units.patients != p))) for p in range(12)]
            for s in (0, 1)
        ]
    )
    moved *= (11 / 12) ** 0.5
    assert result.estimate == pytest.approx(np.mean(of_seeds))
    assert result.se**2 == pytest.approx((moved.mean(axis=0) ** 2).sum() + np.var(of_seeds, ddof=1) / 2)


def test_statistic_that_a_seed_does_not_have():
    values, units = simulated(np.random.default_rng(11), 12, 3)
    first = units.seeds == 0

    def mean(rows):
        return values[rows].mean() if first[rows].all() else nan

    result = two_way_statistic(mean, units, **LEVEL)
    assert result == pytest.approx(two_way(np.where(first, values, nan), units, **LEVEL))


@pytest.mark.parametrize(
    ("patients", "seeds", "folds"), [(22, 1, None), (22, 5, None), (100, 3, None), (50, 5, 5)], ids=str
)
def test_interval_covers_the_mean_of_the_method(patients, seeds, folds):
    """A small version of benchmarks/coverage.py: patients of unequal size, trainings that differ by as much."""
    generator = np.random.default_rng(12)
    sd_seed = 0 if seeds == 1 else 0.2
    runs = 400
    covered = rejected = 0
    for _ in range(runs):
        values, units = simulated(generator, patients, seeds, folds, sd_seed, 0.3)
        result = two_way(values, units, **LEVEL)
        covered += result.ci_low <= 0 <= result.ci_high
        rejected += result.p < 0.05
    assert covered + rejected == runs
    # Binomial: 4 standard errors are 0.044.
    assert 0.906 <= covered / runs <= 0.99


def test_one_seed_says_nothing_about_the_method():
    """Why its rows are labelled: the interval of one training does not cover the mean over trainings."""
    generator = np.random.default_rng(13)
    covered = 0
    for _ in range(200):
        result = two_way(*simulated(generator, 100, 1, sd_seed=0.4), **LEVEL)
        covered += result.ci_low <= 0 <= result.ci_high
    assert covered / 200 < 0.75


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

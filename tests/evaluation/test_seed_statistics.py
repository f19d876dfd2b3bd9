import numpy as np
import pytest
from scipy import stats

from segunc.evaluation.seed_statistics import mean_over_seeds


def test_mean_over_seeds_is_students_t():
    values = np.array([0.1, 0.4, 0.25, 0.2])
    result = mean_over_seeds([*values, np.nan], 0.9)
    expected = stats.t.interval(0.9, 3, loc=values.mean(), scale=stats.sem(values))
    assert (result.low, result.high) == pytest.approx(expected)
    assert result.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert (result.mean, result.n) == (pytest.approx(values.mean()), 4)


def test_mean_of_one_or_no_seed_has_no_interval():
    assert mean_over_seeds([0.5, np.nan], 0.95)[0::4] == (0.5, 1)
    assert np.isnan(mean_over_seeds([0.5], 0.95)[1:4]).all()
    assert mean_over_seeds([np.nan], 0.95).n == 0 and np.isnan(mean_over_seeds([], 0.95)[:4]).all()


@pytest.mark.parametrize(("value", "p"), [(0.0, 1), (0.25, 0)])
def test_mean_of_the_same_value_in_all_seeds(value, p):
    assert mean_over_seeds([value] * 3, 0.95) == (value, value, value, p, 3)

import numpy as np
import pytest
from helpers import definitions
from helpers.study import random_draws
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segunc.metrics.levels import LEVELS, level_sets


def test_levels_are_the_midpoints():
    assert LEVELS.tolist() == [(2 * i + 1) / 32 for i in range(16)]


@given(arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)))
def test_level_sets_are_where_the_map_exceeds_the_threshold(p):
    for mask, level in zip(level_sets(p), LEVELS, strict=True):
        expected = {pixel for pixel, value in np.ndenumerate(p) if float(value) > level}
        assert definitions.pixels(mask) == expected


def test_level_sets_are_nested_and_average_to_the_map():
    p = random_draws(1)[0, 0]
    masks = level_sets(p)
    assert np.all(masks[:-1] >= masks[1:])
    assert masks[0].sum() > masks[-1].sum() > 0
    assert masks.mean(axis=0) == pytest.approx(p, abs=1 / 32 + 1e-6)


def test_a_mask_is_its_own_level_sets():
    mask = random_draws(1)[0, 0] > 0.5
    assert np.array_equal(level_sets(mask.astype(float)), np.repeat(mask[None], 16, axis=0))

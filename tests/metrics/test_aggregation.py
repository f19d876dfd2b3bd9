from itertools import combinations
from math import isnan

import numpy as np
import pytest
from helpers import definitions
from helpers.masks import pairs, random_masks
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segunc.metrics.aggregation import PATCH, foreground, mean, pairwise, patch
from segunc.metrics.ged import distances

shapes = st.tuples(st.integers(1, 14), st.integers(1, 14))
maps = shapes.flatmap(lambda shape: arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))


@settings(max_examples=60, deadline=None)
@given(maps)
def test_patch_is_the_largest_mean_of_any_square(u):
    height, width = min(PATCH, u.shape[0]), min(PATCH, u.shape[1])
    corners = np.ndindex(u.shape[0] - height + 1, u.shape[1] - width + 1)
    expected = max(float(np.mean(u[y : y + height, x : x + width], dtype=np.float64)) for y, x in corners)
    assert patch(u, u > 0.5) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(maps)
def test_means_over_the_image_and_over_the_prediction(u):
    values = [float(v) for v in u.flat]
    assert mean(u, u > 0.5) == pytest.approx(definitions.mean(values), abs=1e-9)
    inside = [v for v in values if v > 0.5]
    assert foreground(u, u > 0.5) == pytest.approx(definitions.mean(inside) if inside else max(values), abs=1e-9)


def test_pairwise_is_over_different_samples():
    for samples, annotations in pairs():
        found = pairwise(distances(samples, annotations, exact=False))
        if len(samples) == 1:
            assert isnan(found)
            continue
        expected = definitions.mean(1 - definitions.dice(a, b) for a, b in combinations(samples, 2))
        assert found == pytest.approx(float(expected), abs=1e-12)
        whole = float(expected) * (1 - 1 / len(samples))
        assert pairwise(distances(samples, annotations, exact=True)) == pytest.approx(whole, abs=1e-12)


def test_one_outcome_has_no_disagreement():
    assert pairwise(distances(random_masks(1, 0), random_masks(2, 1), exact=True)) == 0

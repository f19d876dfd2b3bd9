import numpy as np
import pytest
from helpers import definitions
from helpers.masks import H, W
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segunc.metrics.calibration import BINS, Bins, bins, ece

# Edges of bins, and what rounding makes of them.
p_at_edges = st.sampled_from([0, 1 / 15, 0.2, 0.3, 0.5, 0.6, 14 / 15, 1]) | st.floats(0, 1, width=32)
maps = arrays(np.float32, (H, W), elements=p_at_edges.map(np.float32))
annotated = arrays(bool, st.tuples(st.integers(1, 5), st.just(H), st.just(W)))


def test_values_by_hand():
    p, annotations = np.array([[0.2, 0.9]]), np.array([[[0, 1]], [[1, 1]]])
    assert ece(bins(p, annotations)) == pytest.approx((0.3 + 0.1) / 2)
    # In one bin, a map that is too high here and too low there is right on average.
    assert ece(bins(np.array([[0.5, 0.5]]), np.array([[[0, 1]]]))) == 0


@settings(max_examples=60, deadline=None)
@given(maps, annotated)
def test_ece_is_its_definition(p, annotations):
    expected = definitions.calibration_error(p, annotations, BINS)
    assert ece(bins(p, annotations)) == pytest.approx(expected, abs=1e-9)


def test_bins_of_images_add_up_to_those_of_all_pixels():
    generator = np.random.default_rng(0)
    p, annotations = generator.random((3, H, W)), generator.random((4, 3, H, W)) < 0.4
    together = bins(p.reshape(-1, W), annotations.reshape(4, -1, W))
    added = Bins(*(sum(parts) for parts in zip(*(bins(p[i], annotations[:, i]) for i in range(3)), strict=True)))
    for name in Bins._fields:
        np.testing.assert_allclose(getattr(added, name), getattr(together, name))
    assert together.pixels.sum() == p.size


@given(annotated)
def test_the_annotators_frequencies_are_calibrated(annotations):
    assert ece(bins(annotations.mean(axis=0), annotations)) == pytest.approx(0, abs=1e-12)

"""Samples against the level sets of their own mean, beside the definition in `helpers.definitions`."""

import numpy as np
import pytest
from helpers import definitions
from helpers.study import blob
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segunc.evaluation.predictions import Prediction
from segunc.evaluation.scores import inputs_of
from segunc.metrics.registry import METRICS
from segunc.metrics.uncertainty import entropy


def scores(samples, annotations, exact=True, mean=None):
    mean = samples.mean(axis=0) if mean is None else mean
    inputs = inputs_of(Prediction(samples, mean, entropy(mean), exact), annotations, None)
    return {name: METRICS[name](inputs) for name in ("coupling_gain", "ged_u", "ged_levels")}


def by_definition(samples, annotations, mean):
    levels = [mean > (i + 0.5) / 16 for i in range(16)]
    own, of_levels = (definitions.energy_distance(masks, annotations) for masks in (samples, levels))
    return float(own - of_levels)


@settings(max_examples=50, deadline=None)
@given(
    arrays(bool, st.tuples(st.sampled_from([1, 2, 4, 16]), st.just(2), st.just(3))),
    arrays(bool, st.tuples(st.integers(1, 4), st.just(2), st.just(3))),
    arrays(np.float32, (2, 3), elements=st.floats(0, 1, width=32)),
    st.booleans(),
)
def test_it_is_the_difference_of_two_energy_distances(samples, annotations, mean, exact):
    found = scores(samples, annotations, exact, mean)
    assert found["coupling_gain"] == pytest.approx(by_definition(samples, annotations, mean), abs=1e-12)
    if exact:
        assert found["coupling_gain"] == pytest.approx(found["ged_u"] - found["ged_levels"], abs=1e-12)


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("exact", [True, False])
def test_nested_samples_are_the_level_sets_of_their_mean(count, exact):
    """Whatever the readers mark, and in any order of the samples."""
    radii = np.random.default_rng(count).uniform(0.5, 5, count)
    samples = np.stack([blob(radius).astype(bool) for radius in radii])
    for annotations in (samples[:3], np.stack([blob(0), blob(2)]), ~samples[:1]):
        assert scores(samples, annotations, exact)["coupling_gain"] == pytest.approx(0, abs=1e-12)


def test_sixteen_level_sets_stand_for_any_number_of_nested_samples():
    """64 are thinned to 16, which are a better sample than 16 of the 64 by chance."""
    radii = np.random.default_rng(0).uniform(0.5, 5, 64)
    samples = np.stack([blob(radius).astype(bool) for radius in radii])
    of_readers = [scores(samples, samples[i : i + 4], exact=False)["coupling_gain"] for i in range(0, 64, 4)]
    assert abs(np.mean(of_readers)) < 0.005


def test_the_unbiased_estimator_would_find_a_gain_where_there_is_none():
    """The readers and the samples are nested alike; it is off by U / 16."""
    radii = np.random.default_rng(0).uniform(0.5, 5, 20)
    masks = np.stack([blob(radius).astype(bool) for radius in radii])
    found = scores(masks[4:], masks[:4], exact=False)
    assert found["coupling_gain"] == pytest.approx(0, abs=1e-12)
    spread = float(definitions.different(masks[4:]))
    assert found["ged_u"] - found["ged_levels"] == pytest.approx(-spread / 16) and spread > 0.4


@pytest.mark.parametrize("exact", [True, False])
def test_exclusive_masks_gain_much(exact):
    """Readers mark the left or the right half: their mean is 1/2 everywhere, so level sets are all or nothing.

    By hand: 2 * (1/2 + 1) / 2 - 1/2 - 1/2 for the level sets. The samples are the readers' masks.
    """
    left = np.arange(8)[None] < np.full((8, 1), 4)
    readers = np.stack([left, ~left])
    found = scores(np.tile(readers, (8, 1, 1)), readers, exact)
    assert found["ged_levels"] == pytest.approx(0.5)
    assert found["coupling_gain"] == pytest.approx(-0.5)


def test_a_single_mask_of_an_unsure_model_loses():
    """The U-Net: one mask, while its mean knows how often readers mark each pixel."""
    readers = np.stack([blob(radius) for radius in (1, 2, 3, 4)])
    mean = readers.mean(axis=0)
    found = scores((mean > 0.5)[None], readers, mean=mean)
    assert found["ged_levels"] == pytest.approx(0, abs=1e-12)
    assert found["coupling_gain"] == pytest.approx(found["ged_u"]) and found["ged_u"] > 0.2

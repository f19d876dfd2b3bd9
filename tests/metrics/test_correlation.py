from math import isnan

import numpy as np
import pytest
from helpers import definitions
from helpers.masks import H, W, random_masks
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segunc.metrics.correlation import ncc, s_ncc

annotated = arrays(bool, st.tuples(st.integers(1, 5), st.just(H), st.just(W)))


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (H, W), elements=st.sampled_from([0, 0.1, 0.5, 0.9, 1])), annotated)
def test_ncc_is_the_correlation_with_the_entropy_of_the_votes(uncertainty, annotations):
    of_votes = [definitions.entropy(f) for row in definitions.votes(annotations) for f in row]
    expected = definitions.correlation([float(u) for u in uncertainty.flat], of_votes)
    assert ncc(uncertainty, annotations) == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_ncc_is_undefined_if_a_map_is_constant():
    varied = np.arange(H * W).reshape(H, W) / 20
    assert isnan(ncc(varied, random_masks(1, 0)))  # one annotator
    assert isnan(ncc(varied, np.repeat(random_masks(1, 0), 4, axis=0)))  # all agree
    assert isnan(ncc(np.full((H, W), 0.3), random_masks(4, 1)))


def logs(samples):
    return np.log(samples).mean(axis=0), np.log(1 - samples).mean(axis=0)


@pytest.mark.parametrize("draws", [1, 2, 16])
@pytest.mark.parametrize("annotators", [1, 2, 5])
def test_s_ncc_is_its_definition_from_the_samples(draws, annotators):
    samples = np.random.default_rng(draws).uniform(0.01, 0.99, (draws, H, W))
    annotations = np.random.default_rng(annotators).random((annotators, H, W)) < 0.4
    expected = definitions.spread_correlation(samples, annotations)
    assert s_ncc(samples.mean(axis=0), *logs(samples), annotations) == pytest.approx(expected, rel=1e-9)


def test_s_ncc_hardly_changes_by_the_files_float16():
    samples = np.random.default_rng(0).uniform(1e-8, 1 - 1e-8, (16, H, W))
    halves = [values.astype(np.float16).astype(np.float32) for values in logs(samples)]
    annotations = random_masks(3, 1)
    mean = samples.mean(axis=0)
    assert s_ncc(mean, *halves, annotations) == pytest.approx(s_ncc(mean, *logs(samples), annotations), abs=1e-3)


def test_s_ncc_is_undefined_if_all_samples_are_the_same_certain_mask():
    mask = np.clip(random_masks(1, 4).astype(float), 1e-8, 1 - 1e-8)
    assert isnan(s_ncc(mask[0], *logs(mask), (mask > 0.5)))
    flat = np.full((1, H, W), 0.3)
    assert isnan(s_ncc(flat[0], *logs(flat), random_masks(2, 5)))

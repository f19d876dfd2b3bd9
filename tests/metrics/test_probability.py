from math import log

import numpy as np
import pytest
from helpers import definitions
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segunc.metrics.probability import CLIP, brier, brier_floor, cross_entropy, truth_rmse


def test_cross_entropy_by_hand():
    p = np.array([[0.2, 0.9]], np.float64)
    annotations = np.array([[[0, 1]], [[1, 1]]], np.uint8)
    terms = [-log(0.8), -log(0.9), -log(0.2), -log(0.9)]
    assert cross_entropy(p, annotations) == pytest.approx(sum(terms) / 4, rel=1e-12)


def test_a_certain_mistake_costs_the_clipped_logarithm():
    certain, blank = np.ones((2, 2), np.float32), np.zeros((1, 2, 2), bool)
    assert cross_entropy(certain, blank) == pytest.approx(-log(CLIP))
    assert cross_entropy(1 - certain, ~blank) == pytest.approx(-log(CLIP))
    assert 0 <= cross_entropy(certain, ~blank) < 2e-7


def test_a_coin_costs_log_2_whatever_the_annotators_say():
    annotations = np.random.default_rng(0).random((4, 5, 5)) < 0.3
    assert cross_entropy(np.full((5, 5), 0.5), annotations) == pytest.approx(log(2))


@given(arrays(np.float32, (3, 3), elements=st.floats(0, 1, width=32)), arrays(bool, (4, 3, 3)))
def test_no_map_beats_the_annotators_frequencies(p, annotations):
    assert cross_entropy(annotations.mean(axis=0), annotations) <= cross_entropy(p, annotations) + 1e-6


def test_brier_by_hand():
    p, annotations = np.array([[0.2, 0.9]]), np.array([[[0, 1]], [[1, 1]]])
    assert brier(p, annotations) == pytest.approx(0.05 + 0.125)
    assert brier_floor(annotations) == 0.125


@given(arrays(np.float32, (3, 3), elements=st.floats(0, 1, width=32)), arrays(bool, (3, 3, 3)))
def test_brier_is_its_definition_and_the_frequencies_have_the_lowest(p, annotations):
    assert brier(p, annotations) == pytest.approx(float(definitions.brier(p, annotations)), abs=1e-12)
    assert brier(annotations.mean(axis=0), annotations) == brier_floor(annotations)
    assert brier(p, annotations) >= brier_floor(annotations)


def test_brier_has_no_floor_with_one_annotator():
    assert brier_floor(np.array([[[0, 1]]])) == 0


def test_truth_rmse_by_hand():
    assert truth_rmse(np.array([[0.0, 0.5]]), np.array([[0.3, 0.1]])) == pytest.approx((0.25 / 2) ** 0.5)


def test_truth_rmse_does_not_round_to_the_truths_float16():
    p = np.full((100, 100), 0.5, np.float32)
    assert truth_rmse(p, p.astype(np.float16)) == 0
    assert truth_rmse(p + np.float32(1e-5), p.astype(np.float16)) == pytest.approx(1e-5, rel=0.01)

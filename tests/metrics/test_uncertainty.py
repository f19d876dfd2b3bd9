from itertools import product
from math import isnan, log2

import numpy as np
import pytest
from helpers import definitions
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segunc.metrics.uncertainty import AGREEMENTS, OUTCOMES, agreements, entropy, error_auroc, outcomes

maps = arrays(bool, (3, 4))
annotated = arrays(bool, st.tuples(st.integers(1, 5), st.just(3), st.just(4)))


@given(st.floats(0, 1))
def test_entropy_is_its_definition(p):
    expected = sum(-q * log2(q) for q in (p, 1 - p) if q > 0)
    assert entropy(np.array(p)) == pytest.approx(expected, abs=1e-12)
    assert 0 <= entropy(np.array(p)) <= 1


def test_entropy_of_float16_is_not_rounded_to_float16():
    assert entropy(np.array([0.25], np.float16))[0] == pytest.approx(0.25 * 2 + 0.75 * log2(4 / 3), rel=1e-12)


def test_outcomes_by_hand():
    #             tp fp fn tn disputed
    prediction = [1, 1, 0, 0, 1]
    annotations = [[1, 0, 1, 0, 1], [1, 0, 1, 0, 0]]
    groups = outcomes(np.array([prediction], np.uint8), np.array(annotations, np.uint8)[:, None])
    assert list(groups) == list(OUTCOMES)
    for position, name in enumerate(OUTCOMES):
        assert groups[name].tolist() == [[i == position for i in range(5)]]


@given(maps, annotated)
def test_outcomes_share_out_the_pixels_on_which_annotators_agree(prediction, annotations):
    groups = outcomes(prediction, annotations)
    np.testing.assert_array_equal(sum(g.astype(int) for g in groups.values()), agreements(annotations)["agree"])


@given(annotated)
def test_agreements_are_the_entropy_of_the_votes(annotations):
    groups = agreements(annotations)
    assert list(groups) == list(AGREEMENTS)
    for pixel in product(range(3), range(4)):
        share = sum(a[pixel] for a in annotations) / len(annotations)
        h = sum(-q * log2(q) for q in (share, 1 - share) if q > 0)
        expected = "agree" if h == 0 else "disagree" if share == 0.5 else "somewhat"
        assert expected != "somewhat" or 0 < h < 1
        assert [name for name in groups if groups[name][pixel]] == [expected]


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (3, 4), elements=st.sampled_from([0, 0.1, 0.5, 0.9, 1])), maps, annotated)
def test_auroc_is_the_share_of_pairs_in_order(uncertainty, prediction, annotations):
    expected = definitions.auroc(uncertainty, prediction, annotations)
    assert error_auroc(uncertainty, prediction, annotations) == pytest.approx(expected, nan_ok=True)


def test_auroc_without_ties():
    generator = np.random.default_rng(0)
    uncertainty, prediction = generator.random((6, 7)), generator.random((6, 7)) < 0.5
    annotations = generator.random((4, 6, 7)) < 0.4
    expected = definitions.auroc(uncertainty, prediction, annotations)
    assert error_auroc(uncertainty, prediction, annotations) == pytest.approx(expected)


def test_auroc_of_analytic_cases():
    prediction = np.array([[1, 1, 0, 0]], bool)
    annotations = np.array([[[1, 0, 0, 0]]], bool)
    wrong = (prediction != annotations[0]).astype(float)
    assert error_auroc(wrong, prediction, annotations) == 1
    assert error_auroc(-wrong, prediction, annotations) == 0
    assert error_auroc(np.ones((1, 4)), prediction, annotations) == 0.5


def test_auroc_is_undefined_if_nothing_or_everything_is_wrong():
    prediction = np.array([[1, 0]], bool)
    assert isnan(error_auroc(np.array([[0.1, 0.2]]), prediction, prediction[None]))
    assert isnan(error_auroc(np.array([[0.1, 0.2]]), prediction, ~prediction[None]))


def test_auroc_of_an_image_of_the_largest_size_does_not_overflow():
    generator = np.random.default_rng(1)
    prediction, annotations = np.zeros((512, 512), bool), generator.random((4, 512, 512)) < 0.5
    assert error_auroc(generator.random((512, 512)), prediction, annotations) == pytest.approx(0.5, abs=0.01)

"""Hungarian-matched IoU and the best match: by hand, and by trying every matching."""

import numpy as np
import pytest
from helpers import definitions
from helpers.masks import KINDS, E, L, T, adversarial, pairs, random_masks

from segunc.metrics.best_match import d_max, d_max_sample
from segunc.metrics.ged import distances
from segunc.metrics.matching import LARGEST, hm_iou


def of(samples, annotations, exact=True):
    return distances(np.stack(samples), np.stack(annotations), exact=exact)


def test_values_by_hand():
    annotations = [L, T, E, E]
    assert hm_iou(of([L, E], annotations)) == pytest.approx(5 / 6)
    assert hm_iou(of([L, E], [T])) == pytest.approx(1 / 6)
    assert hm_iou(of([E], [E, E])) == 1
    assert d_max(of([L, E], annotations)) == pytest.approx(7 / 8)
    assert d_max_sample(of([L, E], annotations)) == 1
    assert d_max_sample(of([L, E], [T])) == pytest.approx((1 / 2 + 0) / 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("samples", "annotators"), [(1, 4), (2, 3), (3, 2), (4, 2), (3, 3), (1, 1), (5, 1)])
def test_no_matching_is_better(samples, annotators, kind):
    for first, second in (
        (random_masks(samples, 1), random_masks(annotators, 2)),
        (random_masks(samples, 3), adversarial(annotators, kind)),
    ):
        expected = float(definitions.best_matching(first, second))
        assert hm_iou(of(first, second)) == pytest.approx(expected, abs=1e-12)


def test_the_best_match_is_the_largest_dice():
    for samples, annotations in pairs():
        of_image = of(samples, annotations)
        table = [[float(definitions.dice(s, a)) for a in annotations] for s in samples]
        assert d_max(of_image) == pytest.approx(np.max(table, axis=0).mean(), abs=1e-12)
        assert d_max_sample(of_image) == pytest.approx(np.max(table, axis=1).mean(), abs=1e-12)


def test_independent_samples_beyond_the_first_do_not_count():
    samples, annotations = random_masks(64, 4), random_masks(3, 5)
    samples[:LARGEST] = False
    for measure in (hm_iou, d_max, d_max_sample):
        of_first = measure(of(samples[:LARGEST], annotations, exact=False))
        assert measure(of(samples, annotations, exact=False)) == of_first
        assert measure(of(samples, annotations, exact=True)) != of_first


def test_spread_alone_raises_the_best_match_of_an_annotation():
    """Masks of every size, which know nothing of the image, against the one mask that annotators agree on."""
    annotations = [adversarial(12, "nested")[9]] * 3
    blind = of(adversarial(16, "nested"), annotations)
    honest = of([adversarial(9, "nested")[7]] * 16, annotations)
    assert d_max(blind) > d_max(honest) and d_max_sample(blind) < d_max_sample(honest)

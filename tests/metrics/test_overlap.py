import numpy as np
import pytest
from helpers import definitions
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segunc.metrics.overlap import SOFT_DICE_EPS, dice, iou, soft_dice_loss

EMPTY = np.zeros((2, 3), bool)
LEFT = np.array([[1, 0, 0], [1, 0, 0]], bool)
TOP = np.array([[1, 1, 1], [0, 0, 0]], bool)

masks = arrays(bool, st.tuples(st.integers(1, 5), st.just(3), st.just(4)))


def test_empty_masks():
    assert iou(EMPTY, EMPTY[None]) == dice(EMPTY, EMPTY[None]) == 1
    assert iou(EMPTY, LEFT[None]) == dice(EMPTY, LEFT[None]) == 0
    assert iou(LEFT, EMPTY[None]) == dice(LEFT, EMPTY[None]) == 0


def test_values_by_hand_are_averaged_over_annotators():
    annotations = np.stack([LEFT, TOP, EMPTY])
    assert iou(LEFT, annotations) == pytest.approx((1 + 1 / 4 + 0) / 3)
    assert dice(LEFT, annotations) == pytest.approx((1 + 2 / 5 + 0) / 3)


@given(masks)
def test_both_are_means_over_the_annotations(annotations):
    mask = np.arange(12).reshape(3, 4) % 5 < 2
    assert dice(mask, annotations) == pytest.approx(
        float(definitions.mean(definitions.dice(mask, a) for a in annotations))
    )
    assert iou(mask, annotations) == pytest.approx(
        float(definitions.mean(definitions.iou(mask, a) for a in annotations))
    )


@given(masks)
def test_dice_is_at_least_iou_and_both_are_shares(annotations):
    prediction = annotations[0]
    assert 0 < iou(prediction, annotations) <= dice(prediction, annotations) <= 1


def test_soft_dice_loss_by_hand():
    p = np.full((2, 3), 0.5, np.float32)
    per_annotator = [1 - (2 * 1 + SOFT_DICE_EPS) / (3 + 2 + SOFT_DICE_EPS), 1 - SOFT_DICE_EPS / (3 + SOFT_DICE_EPS)]
    assert soft_dice_loss(p, np.stack([LEFT, EMPTY])) == pytest.approx(np.mean(per_annotator))


def test_soft_dice_loss_of_hard_masks():
    assert soft_dice_loss(LEFT, LEFT[None]) == 0
    assert soft_dice_loss(EMPTY, EMPTY[None]) == 0
    assert soft_dice_loss(LEFT, ~LEFT[None]) == pytest.approx(1 - SOFT_DICE_EPS / (6 + SOFT_DICE_EPS))


@given(arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)), masks)
def test_soft_dice_loss_is_a_share(p, annotations):
    assert 0 <= soft_dice_loss(p, annotations) <= 1

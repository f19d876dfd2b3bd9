"""The overlap of masks, compared with counting pixels."""

import numpy as np
import pytest
from helpers import definitions
from helpers.masks import pairs

from segunc.masks import frequency, pairwise_iou, window


def test_pairwise_iou_is_the_iou_of_every_pair():
    for first, second in pairs():
        expected = [[float(definitions.iou(a, b)) for b in second] for a in first]
        np.testing.assert_allclose(pairwise_iou(first, second), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_counts_beyond_the_masks_own_type_do_not_overflow(dtype):
    full = np.ones((1, 300, 300), dtype)
    half = full.copy()
    half[:, :150] = 0
    assert pairwise_iou(full, half) == 0.5
    assert np.array_equal(frequency(np.concatenate([full] * 300)), full[0])


def test_a_window_has_all_marked_pixels_and_its_sides_touch_one():
    for first, _ in pairs():
        for mask in first.astype(bool):
            inside = mask[*window(mask)]
            assert inside.sum() == mask.sum()
            assert all(side.any() for side in (inside[:1], inside[-1:], inside[:, :1], inside[:, -1:])) == mask.any()
            assert mask[*window(mask, margin=max(mask.shape))].size == (mask.size if mask.any() else 0)

"""The overlap of masks, compared with counting pixels."""

import numpy as np
import pytest
from helpers import definitions
from helpers.masks import pairs

from segunc.masks import pairwise_iou


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

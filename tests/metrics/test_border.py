from math import isnan

import numpy as np
import pytest
from helpers import definitions
from helpers.masks import KINDS, H, W, adversarial, random_masks

from segunc.metrics.border import band, closeness_to_border, closeness_to_centre
from segunc.metrics.uncertainty import error_auroc

ANNOTATION = np.array([[[0, 0, 1, 1, 1, 1]]])
PREDICTION = np.array([[0, 0, 0, 1, 1, 1]])
UNCERTAINTY = np.array([[0.9, 0.5, 0.7, 0.8, 0.1, 0.1]])


def test_values_by_hand():
    near = band(PREDICTION, ANNOTATION)
    assert np.flatnonzero(near).tolist() == [1, 2, 3]
    assert error_auroc(UNCERTAINTY, PREDICTION, ANNOTATION) == pytest.approx(0.6)
    assert error_auroc(UNCERTAINTY[near], PREDICTION[near], ANNOTATION[:, near]) == 0.5
    # Of the three pixels, the wrong one and a right one are beside the predicted border.
    assert error_auroc(closeness_to_border(PREDICTION, near), PREDICTION[near], ANNOTATION[:, near]) == 0.75


def embedded(mask, shape, corner):
    """A mask somewhere in a larger image."""
    image = np.zeros(shape, bool)
    image[corner[0] : corner[0] + H, corner[1] : corner[1] + W] = mask
    return image


@pytest.mark.parametrize(("shape", "radius"), [((12, 9), 1), ((31, 40), 1), ((34, 32), 2), ((64, 63), 3)])
def test_the_band_is_near_a_border_of_any_mask(shape, radius):
    for seed in range(3):
        # At a corner of the image, and within it.
        corners = [(0, 0), (shape[0] - H, shape[1] - W), (shape[0] // 2 - H // 2, shape[1] // 3)]
        masks = [embedded(m, shape, c) for m, c in zip(random_masks(3, seed), corners, strict=True)]
        expected = np.zeros(shape, bool)
        for mask in masks:
            for y, x in np.argwhere(beside_other_class(mask)):
                rows, columns = np.ogrid[: shape[0], : shape[1]]
                within = np.hypot(rows - y, columns - x) <= radius
                expected |= within & (mask != mask[y, x])
        np.testing.assert_array_equal(band(masks[0], np.stack(masks[1:])), expected)


def beside_other_class(mask):
    """Pixels with one of the other class beside them: the nearest of the other class is always one of these."""
    padded = np.pad(mask, 1, mode="edge")
    sides = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.any([side != mask for side in sides], axis=0)


@pytest.mark.parametrize("kind", KINDS)
def test_distances_are_to_the_nearest_pixel_of_the_other_class(kind):
    for mask in (adversarial(6, kind)[-1], random_masks(1, 7)[0]):
        expected = [-definitions.distance_to_other_class(mask, y, x) for y, x in np.ndindex(mask.shape)]
        everywhere = np.ones_like(mask)
        if np.isinf(expected).all():
            expected = closeness_to_centre(everywhere)
        np.testing.assert_allclose(closeness_to_border(mask, everywhere), expected)
        assert np.array_equal(band(mask, mask[None]), definitions.band([mask], 1))


@pytest.mark.parametrize("corner", [(0, 0), (4, 20), (31 - H, 40 - W)])
def test_the_distance_of_a_pixel_does_not_depend_on_which_others_are_asked_for(corner):
    everywhere = np.ones((31, 40), bool)
    for mask in random_masks(3, 1):
        image = embedded(mask, everywhere.shape, corner)
        for prediction in (image, ~image):
            distance = closeness_to_border(prediction, everywhere).reshape(everywhere.shape)
            centre = closeness_to_centre(everywhere).reshape(everywhere.shape)
            for y, x in [(0, 0), (30, 39), (15, 3), (corner[0] + 1, corner[1] + 1)]:
                one = np.zeros_like(everywhere)
                one[y, x] = True
                assert closeness_to_border(prediction, one) == [distance[y, x]]
                assert closeness_to_centre(one) == [centre[y, x]]


def test_without_any_border_there_is_no_band():
    nothing = np.zeros((H, W), bool)
    for mask in (nothing, ~nothing):
        near = band(mask, np.stack([nothing, ~nothing]))
        assert not near.any()
        assert isnan(error_auroc(np.zeros(0), mask[near], np.stack([nothing])[:, near]))


def test_the_centre_is_between_the_pixels_of_an_even_side():
    closeness = closeness_to_centre(np.ones((3, 4), bool)).reshape(3, 4)
    assert np.array_equal(closeness, closeness[::-1, ::-1])
    assert closeness.max() == -0.5 and closeness.min() == -np.hypot(1, 1.5)

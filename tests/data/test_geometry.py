from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segunc.data.geometry import area, crop

lengths = st.integers(1, 12)


def exact_area(pixels: np.ndarray, size: int) -> list[list[Fraction]]:
    """The mean under each new pixel, pixel by pixel and in fractions."""
    height, width = pixels.shape

    def shared(old: int, new: int, n_old: int) -> Fraction:
        start = max(Fraction(old, n_old), Fraction(new, size))
        return max(min(Fraction(old + 1, n_old), Fraction(new + 1, size)) - start, Fraction(0))

    return [
        [
            sum(
                (
                    shared(y, i, height) * shared(x, j, width) * int(pixels[y, x])
                    for y in range(height)
                    for x in range(width)
                ),
                Fraction(0),
            )
            * size
            * size
            for j in range(size)
        ]
        for i in range(size)
    ]


@given(lengths, lengths, st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_area_is_the_exact_mean_rounded_half_up(height, width, size, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    means = exact_area(pixels, size)
    expected = [[int(mean + Fraction(1, 2)) for mean in row] for row in means]
    np.testing.assert_array_equal(area(pixels, size), expected)
    np.testing.assert_allclose(area(pixels.astype(float), size), np.array(means, float))


@given(lengths, lengths, st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_area_marks_pixels_of_which_at_least_half_was_marked(height, width, size, seed):
    mask = np.random.default_rng(seed).integers(0, 2, (height, width), np.uint8)
    expected = [[mean >= Fraction(1, 2) for mean in row] for row in exact_area(mask, size)]
    np.testing.assert_array_equal(area(mask, size), expected)


def test_area_keeps_type_and_leading_axes():
    assert area(np.full((3, 10, 8), 7, np.uint8), 4).tolist() == np.full((3, 4, 4), 7).tolist()
    assert area(np.ones((10, 8), np.float32), 4).dtype == np.float32


@given(lengths, lengths, st.integers(1, 16))
def test_crop_keeps_the_centre_and_pads_the_rest(height, width, size):
    pixels = np.arange(1, height * width + 1).reshape(height, width)
    cropped = crop(pixels, size, padding=0)
    assert cropped.shape == (size, size)
    kept = cropped[cropped > 0]
    assert len(kept) == min(height, size) * min(width, size)
    top, left = (abs(length - size) // 2 for length in (height, width))
    first = pixels[top if height > size else 0, left if width > size else 0]
    assert cropped[top if height < size else 0, left if width < size else 0] == first == kept[0]


def test_crop_of_known_pixels():
    pixels = np.arange(12).reshape(3, 4)
    assert crop(pixels, 2, padding=0).tolist() == [[1, 2], [5, 6]]
    assert crop(np.array([[5]]), 3, padding=2).tolist() == [[2, 2, 2], [2, 5, 2], [2, 2, 2]]
    assert crop(np.array([[[5]]]), 2, padding=0).tolist() == [[[5, 0], [0, 0]]]

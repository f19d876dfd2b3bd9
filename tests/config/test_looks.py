"""The default colours of models and strategies."""

from itertools import combinations

import numpy as np
import pytest

from segunc.config.looks import MARKERS, PALETTES
from segunc.figures import style

# Machado et al. 2009, severity 1, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "deuteranope": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def lab(colour: str, vision: str) -> np.ndarray:
    """CIELAB of a colour as it is seen."""
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = VISION[vision] @ np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("family", PALETTES)
@pytest.mark.parametrize("vision", VISION)
def test_ten_colours_can_be_told_apart(family: str, vision: str) -> None:
    """A difference of 2.3 is just noticeable."""
    seen = [lab(colour, vision) for colour in PALETTES[family]]
    assert len(seen) == 10
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 15


def test_figures_know_all_markers() -> None:
    assert tuple(style.MARKERS) == MARKERS

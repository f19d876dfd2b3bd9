"""Lesions and the annotators who outline them, with the probability of every mask in closed form.

An annotator (1) marks the lesion at all with probability `visible`; (2) picks one of its possible borders, such as the
solid core or the pale rim around it, with the probabilities `preference`; (3) draws that border displaced by a
smooth random offset, which at each pixel is normal with mean 0 and standard deviation `spread`. So the probability
that they mark a pixel is visible * sum_k preference_k * Phi(depth_k / spread).
"""

from typing import NamedTuple

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import NDArray
from scipy.special import ndtr

from segunc.data.phantoms.canvas import Canvas

AMPLITUDES = np.array([0.7, 0.45, 0.4, 0.3, 0.2, 0.12])
AMPLITUDES = AMPLITUDES / np.linalg.norm(AMPLITUDES)
"""Of the harmonics of an annotator's offset around the lesion: mostly, the whole outline is generous or tight."""


class Lesion(NamedTuple):
    """What annotators see of one lesion in one image."""

    depths: NDArray
    """(K, H, W): signed distance to each of the K possible borders, positive inside."""
    preference: NDArray
    """(K,), sums to 1: probability of each border."""
    direction: NDArray
    """(H, W) complex: unit vector from the lesion's centre, x + iy."""
    spread: NDArray
    """(H, W): standard deviation of the border that annotators draw."""
    visible: float
    """Probability that an annotator marks the lesion at all."""


class Annotator(NamedTuple):
    """The habits of one annotator, kept over the images of a lesion so that neighbouring slices are outlined alike."""

    attention: float
    """Uniform on [0, 1]: marks what is more visible than this."""
    choice: float
    """Uniform on [0, 1]: which border they take."""
    hand: NDArray
    """(6,) complex, standard normal in both parts: where they draw it."""


def annotators(rng: np.random.Generator, n: int) -> list[Annotator]:
    """n independent annotators, identically distributed."""
    return [Annotator(rng.random(), rng.random(), _complex_normal(rng, len(AMPLITUDES))) for _ in range(n)]


def _complex_normal(rng: np.random.Generator, n: int) -> NDArray:
    return rng.standard_normal(n) + 1j * rng.standard_normal(n)


def outline(lesion: Lesion, annotator: Annotator) -> NDArray[np.uint8]:
    """The annotator's mask, {0, 1} (H, W); empty if they do not mark the lesion."""
    if annotator.attention >= lesion.visible:
        return np.zeros(lesion.spread.shape, np.uint8)
    border = np.searchsorted(np.cumsum(lesion.preference[:-1]), annotator.choice, side="right")
    depth = lesion.depths[border]
    # Re(c z^k) with |z| = 1 is Re(c) cos - Im(c) sin of the k-fold angle, whose variance is the same in all directions,
    # so that the sum of these harmonics is standard normal everywhere.
    offset = polyval(lesion.direction, annotator.hand * AMPLITUDES).real
    return ((depth + lesion.spread * offset > 0) | _core(depth)).astype(np.uint8)


def probability(lesion: Lesion, n: int) -> NDArray:
    """(H, W): probability that an annotator marks the pixel, given that at least one of n marks the lesion.

    The condition is needed because images without foreground are left out of the data.
    """
    somebody = 1 - (1 - lesion.visible) ** n
    inside = [np.where(_core(depth), 1.0, ndtr(depth / lesion.spread)) for depth in lesion.depths]
    return lesion.visible / somebody * np.tensordot(lesion.preference, inside, axes=1)


def _core(depth: NDArray) -> NDArray[np.bool_]:
    """The deepest pixel: everyone who marks a lesion marks it, however tightly, so that their mask is never empty."""
    return depth == depth.max()


def star(rng: np.random.Generator, elongation: float, irregularity: float) -> NDArray:
    """(9,) complex coefficients of the logarithm of a random border's relative radius.

    The second makes an ellipse, those after it bumps that get smaller as they get finer.
    """
    k = np.arange(9)
    coefficients = irregularity * _complex_normal(rng, 9) / np.maximum(k, 1) ** 1.3
    coefficients[:2] = 0
    coefficients[2] = elongation * np.exp(2j * np.pi * rng.random())
    return coefficients


def border(on: Canvas, centre: NDArray, radius: float, shape: NDArray) -> tuple[NDArray, NDArray]:
    """Depth below a star-shaped border, measured along the ray from its centre, and `Lesion.direction`, each (H, W).

    `centre` is (y, x), `shape` comes from `star`.
    """
    dy, dx = on.y - centre[0], on.x - centre[1]
    direction = np.exp(1j * np.arctan2(dy, dx))
    return radius * np.exp(polyval(direction, shape).real) - np.hypot(dy, dx), direction

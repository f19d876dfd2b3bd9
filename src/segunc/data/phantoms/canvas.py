"""Tools for painting phantoms: a coordinate grid, smooth noise, soft curves."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE = 64
"""Length of an image's side in the unit of all phantoms."""


class Canvas(NamedTuple):
    """Coordinates of the pixel centres, (0, 0) in the middle of the image."""

    y: NDArray
    """(H, 1), from -32 to 32 downwards"""
    x: NDArray
    """(1, W), from -32 to 32 rightwards"""

    @property
    def size(self) -> int:
        return len(self.y)


def canvas(size: int) -> Canvas:
    """The coordinates of `size` x `size` pixels."""
    centres = (np.arange(size) + 0.5) * SIDE / size - SIDE / 2
    return Canvas(centres[:, None], centres[None, :])


def smooth_noise(rng: np.random.Generator, on: Canvas, length: float) -> NDArray:
    """(H, W) Gaussian noise of mean 0 and variance 1, correlated over about `length`; wraps around at the edges."""
    frequency = np.fft.fftfreq(on.size) * on.size / SIDE
    gain = np.exp(-2 * (np.pi * length * frequency) ** 2)
    gain2d = gain[:, None] * gain[None, : on.size // 2 + 1]
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((on.size, on.size))) * gain2d, s=(on.size, on.size))
    # The remaining variance of white noise, by Parseval's theorem over the whole spectrum.
    return field / np.sqrt(np.mean(np.outer(gain, gain) ** 2))


def curve(on: Canvas, points: NDArray, width: tuple[float, float]) -> NDArray:
    """(H, W) in [0, 1]: a soft line through `points` (3, 2), a quadratic Bezier curve from first to last, as (y, x).

    `width` is the standard deviation of its Gaussian profile at the first and at the last point.
    """
    length = np.hypot(*np.diff(points, axis=0).T).sum()
    t = np.linspace(0, 1, 2 + int(1.5 * length / min(width)))[:, None]
    path = (1 - t) ** 2 * points[0] + 2 * t * (1 - t) * points[1] + t**2 * points[2]
    widths = width[0] + t * (width[1] - width[0])
    # Only pixels near the path are computed: many thin lines would otherwise dominate the run time.
    reach = int(np.ceil(3 * max(width) * on.size / SIDE))
    window = np.arange(-reach, reach + 1)
    place = np.floor((path + SIDE / 2) * on.size / SIDE).astype(int)
    rows, columns = place[:, :1] + window, place[:, 1:] + window
    dy = ((rows + 0.5) * SIDE / on.size - SIDE / 2 - path[:, :1]) / widths
    dx = ((columns + 0.5) * SIDE / on.size - SIDE / 2 - path[:, 1:]) / widths
    profile = np.exp(-0.5 * dy**2)[:, :, None] * np.exp(-0.5 * dx**2)[:, None, :]
    # A margin collects what falls outside the image.
    margin = np.zeros((on.size + 2, on.size + 2))
    rows, columns = np.clip(rows, -1, on.size) + 1, np.clip(columns, -1, on.size) + 1
    np.maximum.at(margin, (rows[:, :, None], columns[:, None, :]), profile)
    return margin[1:-1, 1:-1]


def disc(on: Canvas, centre: NDArray, radius: float, blur: float) -> NDArray:
    """(H, W) in [0, 1]: a disc around `centre` (y, x) whose border is soft over about `blur`."""
    return soft_step(radius - np.hypot(on.y - centre[0], on.x - centre[1]), blur)


def soft_step(depth: NDArray, blur: float) -> NDArray:
    """From 0 outside (negative depth) to 1 inside, over about `blur`."""
    return 0.5 * (1 + np.tanh(depth / blur))

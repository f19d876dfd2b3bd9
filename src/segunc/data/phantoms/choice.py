"""Choice phantoms: two discs with equal image evidence, of which an annotator marks one, somewhat displaced.

Two things that level sets of a probability map cannot express: the annotator marks one disc or the other, never both;
and the border moves sideways, so that masks of one disc have equal areas and are not nested. Every annotator of a scene
draws independently from the same distribution, which `Scene` describes in full: `masks` samples it, `probability` is
its mean in closed form.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chndtr

from segunc.data.phantoms.canvas import Canvas, disc, smooth_noise


class Scene(NamedTuple):
    """The true distribution of the masks of one image, in the unit of the canvas."""

    centres: NDArray
    """(2, 2): centre (y, x) of either disc, the left one first. Each is marked with probability 1/2."""
    radius: float
    shift: float
    """Standard deviation of the normal displacement of a mask, in y and in x."""


def scene(rng: np.random.Generator) -> Scene:
    """A random scene: two discs beside each other, at least a radius apart."""
    radius = rng.uniform(5.5, 8.5)
    shift = rng.uniform(0.15, 0.3) * radius
    half, angle = 0.5 * (3 * radius + rng.uniform(0, 8)), rng.uniform(-np.pi / 5, np.pi / 5)
    middle, arm = rng.normal(0, 1.5, 2), half * np.array([np.sin(angle), np.cos(angle)])
    return Scene(np.stack([middle - arm, middle + arm]), radius, shift)


def scene_of(image_id: str, seed: int) -> Scene:
    """The scene of an image of format `phantom` and kind `choice`, by its id and the option `seed` of its dataset."""
    patient, number = (int(part.rpartition("-")[2]) for part in image_id.split("/"))
    # The scene is the first thing that `formats.phantom` draws from the generator of an image.
    return scene(np.random.default_rng([seed, patient]).spawn(number + 1)[number])


def paint(rng: np.random.Generator, on: Canvas, of: Scene) -> NDArray[np.uint8]:
    """The image of a scene, uint8 (1, H, W): both discs equally bright, blurred as much as masks are displaced."""
    background, contrast = rng.uniform(20, 50), rng.uniform(60, 120)
    discs = sum(disc(on, centre, of.radius, of.shift) for centre in of.centres)
    grey = background + contrast * discs + 5 * smooth_noise(rng, on, 3) + rng.uniform(3, 8) * smooth_noise(rng, on, 0.7)
    return np.clip(np.round(grey), 0, 255).astype(np.uint8)[None]


def masks(rng: np.random.Generator, on: Canvas, of: Scene, n: int) -> NDArray[np.uint8]:
    """n independent masks from the true distribution, {0, 1} (n, H, W)."""
    centres = of.centres[rng.integers(0, 2, n)] + rng.normal(0, of.shift, (n, 2))
    dy, dx = on.y - centres[:, :1, None], on.x - centres[:, 1:, None]
    return (np.hypot(dy, dx) < of.radius).astype(np.uint8)


def probability(on: Canvas, of: Scene) -> NDArray:
    """(H, W): probability that an annotator marks the pixel.

    In units of shift^2, the squared distance of a pixel to a displaced centre has a noncentral chi-squared distribution
    with two degrees of freedom.
    """
    within = [
        chndtr((of.radius / of.shift) ** 2, 2, ((on.y - y) ** 2 + (on.x - x) ** 2) / of.shift**2) for y, x in of.centres
    ]
    return np.mean(within, axis=0)

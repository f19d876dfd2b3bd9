"""Lung-like phantoms: CT-like grey slices through a nodule, outlined by four annotators who disagree.

They disagree on the border (more where it is blurred or touches the chest wall), on whether the ground glass around a
solid core belongs to the nodule, and on whether there is a nodule at all, the more the smaller and fainter it is.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segunc.data.phantoms.canvas import Canvas, curve, smooth_noise, soft_step
from segunc.data.phantoms.lesion import Lesion, border, star


class Kind(NamedTuple):
    """A kind of nodule: how often it occurs, its range of contrast, and the blur and irregularity of its border."""

    share: float
    contrast: tuple[float, float]
    blur: float
    irregularity: float


KINDS = {
    "solid": Kind(0.45, (30, 125), 0.8, 0.2),
    "spiculated": Kind(0.15, (60, 130), 1.0, 0.35),
    "part-solid": Kind(0.2, (70, 120), 1.0, 0.35),
    "ground glass": Kind(0.2, (10, 45), 2.2, 0.35),
}


class Scanner(NamedTuple):
    """How all images of one patient look."""

    air: float
    """Grey value of the lung."""
    noise: float
    grain: float
    """Correlation length of the noise."""


class Nodule(NamedTuple):
    """A nodule in three dimensions, cut into slices by `paint`."""

    kind: str
    centre: NDArray
    drift: NDArray
    """(2,): how far the centre moves from the middle slice to a pole."""
    radius: float
    contrast: float
    shapes: tuple[NDArray, NDArray]
    """The border at the lower pole and at the upper one; in between it turns from one to the other."""
    spicules: list[NDArray]
    """Curves (3, 2) relative to the centre."""


class Vessel(NamedTuple):
    points: NDArray
    width: tuple[float, float]
    brightness: float
    height: float
    """Of the slice in which it is brightest."""
    extent: float
    """In heights, over which it fades."""


class Surroundings(NamedTuple):
    """What lies around a nodule in all its slices."""

    textures: tuple[NDArray, NDArray]
    vessels: list[Vessel]
    wall: NDArray | None
    """(H, W): grey values of the chest wall, where there is one."""
    wall_depth: NDArray
    """(H, W): depth in the chest wall, negative in the lung."""


def scanner(rng: np.random.Generator) -> Scanner:
    """A random scanner: mostly little noise, sometimes much."""
    noise = rng.choice([2.0, 4.0, 7.0, 12.0], p=[0.4, 0.35, 0.17, 0.08])
    return Scanner(air=rng.uniform(12, 32), noise=noise, grain=rng.uniform(0.5, 0.9))


def nodule(rng: np.random.Generator) -> Nodule:
    """A random nodule near the middle of the image."""
    name = str(rng.choice(list(KINDS), p=[kind.share for kind in KINDS.values()]))
    kind = KINDS[name]
    radius = float(np.clip(np.exp(rng.normal(1.65, 0.55)), 2.2, 15))
    elongation, irregularity = rng.uniform(0, 0.22), kind.irregularity * rng.uniform(0.4, 1.4)
    return Nodule(
        kind=name,
        centre=rng.normal(0, 2, 2),
        drift=rng.normal(0, 0.8, 2),
        radius=radius,
        contrast=rng.uniform(*kind.contrast),
        shapes=(star(rng, elongation, irregularity), star(rng, elongation, irregularity)),
        spicules=_spicules(rng, radius) if name == "spiculated" else [],
    )


def _spicules(rng: np.random.Generator, radius: float) -> list[NDArray]:
    """Short curves that leave the nodule in all directions."""
    curves = []
    for direction in rng.uniform(0, 2 * np.pi, rng.integers(5, 11)):
        reach = radius * np.array([0.7, 1.1, rng.uniform(1.3, 1.9)])
        bent = direction + np.array([0, rng.normal(0, 0.08), rng.normal(0, 0.2)])
        curves.append(reach[:, None] * np.stack([np.sin(bent), np.cos(bent)], axis=1))
    return curves


def surroundings(rng: np.random.Generator, on: Canvas, around: Nodule) -> Surroundings:
    """Random vessels, and in every second case the chest wall, around a nodule."""
    textures = smooth_noise(rng, on, 2.5), smooth_noise(rng, on, 2.5)
    vessels = _vessels(rng)
    if rng.random() < 0.55:
        return Surroundings(textures, vessels, *_chest_wall(rng, on, around))
    return Surroundings(textures, vessels, None, np.full((on.size, on.size), -99.0))


def _vessels(rng: np.random.Generator) -> list[Vessel]:
    """Branching vessels that run within the slices, and spots where others cross them."""
    vessels = []
    for _ in range(rng.integers(1, 5)):
        start = rng.uniform(-34, 34, 2)
        direction, length, thick = rng.uniform(0, 2 * np.pi), rng.uniform(14, 40), rng.uniform(0.6, 1.6)
        brightness, height, extent = rng.uniform(35, 120), rng.uniform(-1, 1), rng.uniform(0.4, 1.2)
        trunk = _run(rng, start, direction, length)
        vessels.append(Vessel(trunk, (thick, 0.5 * thick), brightness, height, extent))
        for _ in range(rng.integers(0, 4)):
            t = rng.uniform(0.2, 0.9)
            fork = (1 - t) ** 2 * trunk[0] + 2 * t * (1 - t) * trunk[1] + t**2 * trunk[2]
            branch = _run(rng, fork, direction + rng.choice([-1, 1]) * rng.uniform(0.4, 1), rng.uniform(5, 18))
            vessels.append(Vessel(branch, (0.6 * thick, 0.3 * thick), 0.8 * brightness, height, extent))
    for _ in range(rng.integers(3, 10)):
        spot = _run(rng, rng.uniform(-34, 34, 2), rng.uniform(0, 2 * np.pi), rng.exponential(1.5))
        thick = rng.uniform(0.5, 1.3)
        vessels.append(Vessel(spot, (thick, thick), rng.uniform(25, 120), rng.uniform(-1, 1), 2.0))
    return vessels


def _run(rng: np.random.Generator, start: NDArray, direction: float, length: float) -> NDArray:
    """(3, 2): a slightly bent curve."""
    reach = length * np.array([np.sin(direction), np.cos(direction)])
    return np.array([start, start + reach / 2 + rng.normal(0, 0.12 * length, 2), start + reach])


def _chest_wall(rng: np.random.Generator, on: Canvas, around: Nodule) -> tuple[NDArray, NDArray]:
    """Grey values of the tissue beyond the pleura, and the depth in it; every third nodule sits on the pleura."""
    direction = rng.uniform(0, 2 * np.pi)
    y, x = on.y - around.centre[0], on.x - around.centre[1]
    across, along = y * np.sin(direction) + x * np.cos(direction), x * np.sin(direction) - y * np.cos(direction)
    touches = rng.random() < 0.35
    distance = around.radius * rng.uniform(0.6, 1.1) if touches else rng.uniform(around.radius + 2, 30)
    waves = 0.6 * np.sin(along / rng.uniform(5, 12) + rng.uniform(0, 2 * np.pi))
    depth = across - distance + rng.uniform(-0.003, 0.011) * along**2 + waves
    muscle, fat = rng.uniform(105, 150), rng.uniform(70, 105)
    grey = muscle + (fat - muscle) * soft_step(depth - rng.uniform(6, 25), 1.5) + 4 * smooth_noise(rng, on, 3)
    if rng.random() < 0.6:
        grey = grey + _rib(rng, depth, along)
    return grey, depth


def _rib(rng: np.random.Generator, depth: NDArray, along: NDArray) -> NDArray:
    """Grey values that a rib adds: bright bone around marrow, with rounded ends."""
    thick, half_length = rng.uniform(1.8, 3.5), rng.uniform(5, 40)
    beyond_end = np.maximum(np.abs(along - rng.normal(0, 14)) - half_length, 0)
    below = thick - np.hypot(depth - rng.uniform(4, 9) - thick, beyond_end)
    return rng.uniform(25, 85) * np.exp(-0.5 * (below / 0.9) ** 2) + rng.uniform(15, 60) * soft_step(below, 0.8)


def paint(
    rng: np.random.Generator, on: Canvas, machine: Scanner, around: Surroundings, cut: Nodule, height: float
) -> tuple[NDArray[np.uint8], Lesion]:
    """One slice through the nodule, uint8 (1, H, W), and what annotators see of it.

    `height` is the slice's place in the nodule, between -1 (lower pole) and 1 (upper pole).
    """
    turn = np.pi / 4 * (height + 1)
    texture = np.cos(turn) * around.textures[0] + np.sin(turn) * around.textures[1]
    grey = machine.air + 4 * texture
    for vessel in around.vessels:
        visible = vessel.brightness * np.exp(-(((height - vessel.height) / vessel.extent) ** 2))
        grey = np.maximum(grey, machine.air + visible * curve(on, vessel.points + height, vessel.width))

    section = np.sqrt(1 - height**2)
    radius, centre = cut.radius * section, cut.centre + height * cut.drift
    # Near its poles a nodule fills only part of the slice's thickness (partial volume).
    contrast = cut.contrast * np.sqrt(section)
    shape = np.cos(turn) * cut.shapes[0] + np.sin(turn) * cut.shapes[1]
    depth, direction = border(on, centre, radius, shape)
    blur = KINDS[cut.kind].blur
    if cut.kind == "part-solid":
        core, _ = border(on, centre, 0.6 * radius, shape)
        depths, preference = np.stack([core, depth]), np.array([0.5, 0.5])
        body = 0.35 * soft_step(depth, 1.5) + 0.65 * soft_step(core, blur)
    else:
        depths, preference = depth[None], np.ones(1)
        body = soft_step(depth, blur)
    for points in cut.spicules:
        body = np.maximum(body, 0.7 * section * curve(on, centre + points * section, (0.7, 0.35)))
    grey = np.maximum(grey, machine.air + 4 * texture + contrast * body * (1 + 0.08 * texture))

    touching = np.zeros_like(grey)
    if around.wall is not None:
        beyond = soft_step(around.wall_depth, 0.8)
        grey = grey + beyond * (around.wall - grey)
        touching = soft_step(around.wall_depth + 1.5, 2)
    grey = grey + machine.noise * smooth_noise(rng, on, machine.grain)

    spread = np.minimum((0.45 + 0.3 * blur + 0.06 * radius) * (1 + touching), 0.3 * radius + 0.3)
    lesion = Lesion(depths, preference, direction, spread, _visible(radius, contrast, machine.noise))
    return np.clip(np.round(grey), 0, 255).astype(np.uint8)[None], lesion


def _visible(radius: float, contrast: float, noise: float) -> float:
    """Probability that an annotator marks the nodule: large and bright ones nearly always, small faint ones seldom."""
    evidence = 2.6 * np.log(radius / 3.2) + 1.8 * np.log(contrast / 42) - 0.5 * np.log(noise / 4)
    return float(1 / (1 + np.exp(1.6 - 1.1 * evidence)))

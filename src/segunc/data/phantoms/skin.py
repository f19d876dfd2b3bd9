"""Skin-like phantoms: dermoscopic colour images of a pigmented lesion, outlined by one annotator.

The border is blurred and irregular to a varying degree; some lesions have a pale rim, which annotators may or may not
include. Hairs, rulers, air bubbles, stickers and dark corners occur as in real images.
"""

import numpy as np
from numpy.typing import NDArray

from segunc.data.phantoms.canvas import Canvas, curve, disc, smooth_noise, soft_step
from segunc.data.phantoms.lesion import Lesion, border, star

TONES = np.array([[232, 205, 196], [214, 172, 148], [222, 142, 128], [206, 198, 178], [168, 124, 102], [186, 160, 156]])
"""Skin under a dermatoscope, RGB."""
STICKERS = np.array([[70, 180, 170], [240, 150, 50], [60, 110, 190]])
MELANIN = np.array([0.75, 1.15, 1.35])
"""Absorption of brown pigment in red, green and blue, relative to its density."""
BLOOD = np.array([0.0, 1.0, 0.8])
"""The same of blood."""


def tone(rng: np.random.Generator) -> NDArray:
    """(3,) RGB tone of one patient's skin: a random mixture of two of TONES."""
    first, second = TONES[rng.choice(len(TONES), 2, replace=False)]
    return first + rng.uniform(0, 1) * (second - first) + rng.normal(0, 5, 3)


def paint(rng: np.random.Generator, on: Canvas, skin: NDArray) -> tuple[NDArray[np.uint8], Lesion]:
    """An image of one lesion, uint8 (3, H, W), and what annotators see of it."""
    lesion, density = _lesion(rng, on)
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.004)
    light = 1 + slope * (on.y * np.sin(angle) + on.x * np.cos(angle))
    light = light + 0.015 * smooth_noise(rng, on, 10) + 0.015 * smooth_noise(rng, on, 1.5)
    pigment, blood = MELANIN * rng.uniform(0.85, 1.15, 3), BLOOD * rng.uniform(0, 0.05)
    colour = _over(on, skin) * light
    colour = colour * np.exp(-_over(on, pigment) * density - _over(on, blood) * smooth_noise(rng, on, 8))
    for extra, share in (
        (_freckles, 0.25),
        (_hairs, 0.35),
        (_ruler, 0.2),
        (_bubbles, 0.12),
        (_sticker, 0.05),
        (_vignette, 0.35),
    ):
        if rng.random() < share:
            colour = extra(rng, on, colour)
    colour = colour + 2.5 * smooth_noise(rng, on, 0.6)
    return np.clip(np.round(colour), 0, 255).astype(np.uint8), lesion


def _over(on: Canvas, rgb: NDArray) -> NDArray:
    """(3,) as (3, 1, 1), to be multiplied with images."""
    return np.asarray(rgb, float)[:, None, None]


def _lesion(rng: np.random.Generator, on: Canvas) -> tuple[Lesion, NDArray]:
    """What annotators see, and the density of the pigment as (3, H, W): bluer where it lies deep."""
    radius = float(np.clip(np.exp(rng.normal(2.5, 0.45)), 4, 24))
    centre = rng.normal(0, 3, 2)
    shape = star(rng, rng.uniform(0, 0.3), rng.uniform(0.1, 0.45))
    depth, direction = border(on, centre, radius, shape)
    strength = float(np.exp(rng.normal(-0.35, 0.5)))
    blur = rng.uniform(0.6, 1.4) + rng.uniform(0, 0.12) * radius
    if rng.random() < 0.3:
        within = 0.5 * (shape + star(rng, 0.1, 0.3))
        core, _ = border(on, centre + rng.normal(0, 0.08 * radius, 2), radius * rng.uniform(0.5, 0.7), within)
        depths, preference = np.stack([core, depth]), np.array([0.4, 0.6])
        body = 0.3 * soft_step(depth, blur) + 0.7 * soft_step(core, blur)
    else:
        depths, preference = depth[None], np.ones(1)
        body = soft_step(depth, blur)
    mottle = rng.uniform(0.1, 0.45) * smooth_noise(rng, on, 0.3 * radius) + rng.uniform(0, 0.3) * smooth_noise(
        rng, on, 1
    )
    density = strength * body * np.exp(mottle)
    deep = soft_step(smooth_noise(rng, on, 0.35 * radius) - rng.uniform(0, 1), 0.5) if rng.random() < 0.25 else 0 * body
    tint = 1 + deep * _over(on, np.array([0.35, -0.05, -0.45]))
    # A faint or blurred border is outlined less precisely, a small lesion more so.
    spread = min(0.3 + 0.45 * blur + 0.25 / strength, 0.25 * radius)
    return Lesion(depths, preference, direction, np.full(depth.shape, spread), visible=1.0), density * tint


def _freckles(rng: np.random.Generator, on: Canvas, colour: NDArray) -> NDArray:
    for _ in range(rng.integers(1, 7)):
        spot = disc(on, rng.uniform(-32, 32, 2), rng.uniform(0.5, 1.8), 0.8)
        colour = colour * np.exp(-rng.uniform(0.1, 0.4) * _over(on, MELANIN) * spot)
    return colour


def _hairs(rng: np.random.Generator, on: Canvas, colour: NDArray) -> NDArray:
    shade = rng.uniform(20, 80) * np.array([1.0, 0.8, 0.7])
    direction = rng.uniform(0, np.pi)
    for _ in range(rng.integers(2, 16)):
        middle, angle = rng.uniform(-30, 30, 2), direction + rng.normal(0, 0.5)
        half = rng.uniform(8, 28) * np.array([np.sin(angle), np.cos(angle)])
        points = np.array([middle - half, middle + rng.normal(0, 6, 2), middle + half])
        width = rng.uniform(0.3, 0.5)
        opacity = rng.uniform(0.3, 0.8) * curve(on, points, (width, 0.7 * width))
        colour = colour + opacity * (_over(on, shade) - colour)
    return colour


def _ruler(rng: np.random.Generator, on: Canvas, colour: NDArray) -> NDArray:
    along, across = (on.x, on.y) if rng.random() < 0.7 else (on.y, on.x)
    place, spacing = rng.choice([-1, 1]) * rng.uniform(20, 28), rng.uniform(1.8, 4)
    ticks = np.exp(-0.5 * (((along + spacing / 2) % spacing - spacing / 2) / 0.3) ** 2)
    within = soft_step(rng.uniform(0.7, 1.8) - np.abs(across - place), 0.4)
    within = within * soft_step(rng.uniform(8, 20) - np.abs(along - rng.normal(0, 5)), 0.4)
    return colour + 0.75 * ticks * within * (50 - colour)


def _bubbles(rng: np.random.Generator, on: Canvas, colour: NDArray) -> NDArray:
    for _ in range(rng.integers(2, 10)):
        y, x, radius = rng.uniform(-31, 31), rng.uniform(-31, 31), rng.exponential(1.2) + 0.4
        ring = np.exp(-0.5 * ((np.hypot(on.y - y, on.x - x) - radius) / 0.4) ** 2)
        # Lit from one side, as the glass is.
        colour = colour + rng.uniform(10, 40) * ring * (1 + np.sin(np.arctan2(on.y - y, on.x - x)))
    return colour


def _sticker(rng: np.random.Generator, on: Canvas, colour: NDArray) -> NDArray:
    corner = rng.choice([-1, 1], 2) * rng.uniform(28, 34, 2)
    opacity = disc(on, corner, rng.uniform(5, 12), 0.5)
    return colour + opacity * (_over(on, rng.choice(STICKERS)) - colour)


def _vignette(rng: np.random.Generator, on: Canvas, colour: NDArray) -> NDArray:
    return colour * disc(on, rng.normal(0, 1.5, 2), rng.uniform(32, 46), rng.uniform(0.8, 5))

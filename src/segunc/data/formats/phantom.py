"""Phantoms: computed images with annotators whose disagreement is known, for trying things out and for tests."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import PositiveInt

from segunc.data.phantoms import choice, lung, skin
from segunc.data.phantoms.canvas import canvas
from segunc.data.phantoms.lesion import annotators, outline, probability
from segunc.data.store import Dropped, ImageRecord

FOUR = 4
"""Annotators of lung and choice phantoms."""
SLICES = 8
"""Most slices through one nodule."""


def read(
    *,
    kind: Literal["lung", "skin", "choice"],  # nodules in grey, lesions in colour, or discs of which one is marked
    patients: PositiveInt,  # number of patients
    images_per_patient: PositiveInt,  # lung: slices, of one nodule for every 8 begun; skin: lesions; choice: scenes
    size: PositiveInt,  # height and width in pixels
    seed: int = 0,  # patient k depends only on this and k
) -> Iterator[ImageRecord | Dropped]:
    """Images with masks and the true probability that an annotator marks a pixel; empty ones are dropped."""
    of_patient = {"lung": _lung_patient, "skin": _skin_patient, "choice": _choice_patient}[kind]
    for number in range(patients):
        rng = np.random.default_rng([seed, number])
        yield from of_patient(rng, f"phantom-{kind}-{number:04}", images_per_patient, size)


def _lung_patient(rng: np.random.Generator, patient: str, images: int, size: int) -> Iterator[ImageRecord | Dropped]:
    on, machine = canvas(size), lung.scanner(rng)
    for number in range(-(-images // SLICES)):
        group = f"{patient}/nodule-{number}"
        nodule = lung.nodule(rng)
        around = lung.surroundings(rng, on, nodule)
        readers = annotators(rng, FOUR)
        slices = min(SLICES, images - number * SLICES)
        # The poles themselves are left out: there a nodule has no width.
        for position, height in enumerate(np.linspace(-1, 1, slices + 2)[1:-1]):
            image, lesion = lung.paint(rng, on, machine, around, nodule, height)
            masks = [outline(lesion, reader) for reader in readers]
            key = f"{group}/slice-{position}"
            if any(mask.any() for mask in masks):
                truth = probability(lesion, FOUR)
                yield ImageRecord(image, masks, image_id=key, group_id=group, patient_id=patient, probability=truth)
            else:
                yield Dropped(key, "nobody marked anything")


def _skin_patient(rng: np.random.Generator, patient: str, images: int, size: int) -> Iterator[ImageRecord]:
    on, tone = canvas(size), skin.tone(rng)
    for number in range(images):
        image, lesion = skin.paint(rng, on, tone)
        key = f"{patient}/lesion-{number}"
        mask = outline(lesion, annotators(rng, 1)[0])
        yield ImageRecord(
            image, [mask], image_id=key, group_id=key, patient_id=patient, probability=probability(lesion, 1)
        )


def _choice_patient(rng: np.random.Generator, patient: str, images: int, size: int) -> Iterator[ImageRecord]:
    on = canvas(size)
    for number, own in enumerate(rng.spawn(images)):
        of = choice.scene(own)
        image = choice.paint(own, on, of)
        key = f"{patient}/scene-{number}"
        masks = list(choice.masks(own, on, of, FOUR))
        truth = choice.probability(on, of)
        yield ImageRecord(image, masks, image_id=key, group_id=key, patient_id=patient, probability=truth)

"""How many images go through a network at a time, and how many steps a training run takes.

Imports no torch, so that costs can be estimated from the same numbers.
"""

import math
from collections.abc import Sequence

from segunc.learning.train_spec import TrainingSpec

SAMPLING_PIXELS = {"cpu": 2**16, "cuda": 2**19}
"""Of the images per pass of sampling, by type of device. On CPUs, larger passes are no faster and take more memory; and
unless malloc keeps arrays above 32 MiB for the next layer, new pages for them take up to half of the time."""
VALIDATION_BATCH = 64
"""Images per pass of validation."""
VALIDATION_DRAWS = 8
"""Samples per image in validation."""


def sampling_batch(shape: Sequence[int], device: str) -> int:
    """Images of a shape (..., H, W) per pass of sampling, at least one; device: its type."""
    return max(1, SAMPLING_PIXELS[device] // math.prod(shape[-2:]))


def steps_per_epoch(training: TrainingSpec, images: int) -> int:
    """Gradient steps of a pass through so many training images."""
    return math.ceil(images / training["batch_size"])


def step_budget(training: TrainingSpec, images: int) -> int:
    """The most gradient steps that a training run on so many images takes."""
    if training["steps"] is not None:
        return training["steps"]
    assert training["epochs"] is not None
    return training["epochs"] * steps_per_epoch(training, images)


def validation_interval(training: TrainingSpec, images: int) -> int:
    """Gradient steps between two validations, at most the budget."""
    every = training["validate_every"] or steps_per_epoch(training, images)
    return min(every, step_budget(training, images))


def selection_begins(steps: int) -> int:
    """The step after which early stopping selects weights and counts its patience: a quarter of the budget.

    Otherwise a validation that is good by chance could end a run near its beginning.
    """
    return steps // 4

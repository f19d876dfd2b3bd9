"""How much memory and time a training requests from a scheduler, estimated from its spec and its images' size.

Estimates are generous: three to six times the measured time of one CPU core. Retries request twice as much, and a
training that ran out of time resumes from its checkpoint.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

DAY = 24 * 60
"""Longest time to request, in minutes: what most clusters allow."""
BASE_MEMORY = 4000
"""MB of a training without its activations: torch and its libraries, the images, what loading them takes."""
BYTES_PER_ACTIVATION = 24
"""Encoder and decoder, and three float32 tensors that wait for the backward pass of each convolution."""
SECONDS_PER_ACTIVATION = 2e-7
"""Forward and backward, on one core."""


class Demand(NamedTuple):
    """What a training requests at its first attempt."""

    memory: int
    """Main memory in MB."""
    core_minutes: int | None
    """On one core; None if the budget is in epochs, whose length only the data knows."""

    def minutes(self, threads: int) -> int:
        """Time on so many cores, at most a day."""
        if self.core_minutes is None:
            return DAY
        return min(DAY, 20 + math.ceil(self.core_minutes / threads))


def demand(spec: str, size: int) -> Demand:
    """What a training requests; `spec` is `segunc.config.specs.train`, for images of `size` x `size` pixels."""
    settings = json.loads(spec)
    training = settings["training"]
    batch = training["batch_size"] * activations(settings, size)
    memory = BASE_MEMORY + math.ceil(batch * BYTES_PER_ACTIVATION / 1e6)
    if training["steps"] is None:
        return Demand(memory, None)
    return Demand(memory, math.ceil(training["steps"] * batch * SECONDS_PER_ACTIVATION / 60))


def activations(spec: Mapping[str, Any], size: int) -> float:
    """Outputs of the encoder's convolutions for an image of `size` x `size` pixels, over all members of an ensemble."""
    backbone = spec["backbone"]
    per_pixel = sum(filters / 4**level for level, filters in enumerate(backbone["filters"]))
    return size**2 * backbone["convolutions"] * per_pixel * spec["options"].get("members", 1)

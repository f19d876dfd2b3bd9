"""How much memory and time a training asks a scheduler for, estimated from its spec and its images' size.

On the safe side of what was measured: three to six times the time of one CPU core. What falls short is asked for
again with twice as much, and a training that ran out of time goes on from its checkpoint.
"""

import math
from collections.abc import Mapping
from typing import Any

DAY = 24 * 60
"""Longest time to ask for, in minutes: what most clusters give."""
BASE_MEMORY = 4000
"""MB of a training without its activations: torch and its libraries, the images, what loading them takes."""
BYTES_PER_ACTIVATION = 24
"""Encoder and decoder, and three float32 tensors that wait for the backward pass of each convolution."""
SECONDS_PER_ACTIVATION = 2e-7
"""Forward and backward, on one core."""


def activations(spec: Mapping[str, Any], size: int) -> float:
    """Outputs of the encoder's convolutions for an image of `size` x `size` pixels, over all members of an ensemble."""
    backbone = spec["backbone"]
    per_pixel = sum(filters / 4**level for level, filters in enumerate(backbone["filters"]))
    return size**2 * backbone["convolutions"] * per_pixel * spec["options"].get("members", 1)


def training_memory(spec: Mapping[str, Any], size: int) -> int:
    """Main memory of a training in MB. `spec` is `segunc.config.train_spec`."""
    batch = spec["training"]["batch_size"] * activations(spec, size)
    return BASE_MEMORY + math.ceil(batch * BYTES_PER_ACTIVATION / 1e6)


def training_minutes(spec: Mapping[str, Any], size: int, threads: int) -> int:
    """Time of a training in minutes; a day where the budget is in epochs, as only the data knows how long they are."""
    training = spec["training"]
    if training["steps"] is None:
        return DAY
    batch = training["batch_size"] * activations(spec, size)
    return min(DAY, 20 + math.ceil(training["steps"] * batch * SECONDS_PER_ACTIVATION / threads / 60))

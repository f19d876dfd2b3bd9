"""How much memory and time a training run requests from a scheduler, estimated from its spec and its images' size.

Estimates are generous: three to six times the measured time of one CPU core. Retries request twice as much, and a run
that exceeded its time resumes from its checkpoint.
"""

import json
import math
from typing import NamedTuple

from segunc.learning.train_spec import TrainSpec
from segunc.networks.shape import Backbone
from segunc.networks.work import work_of

DAY = 24 * 60
"""Longest time to request, in minutes: what most clusters allow."""
BASE_MEMORY = 4000
"""MB of a training run without its activations: torch and its libraries, the images and their loading."""
BYTES_PER_VALUE = 12
"""Three float32 tensors that are kept for the backward pass of each convolution."""
SECONDS_PER_VALUE = 1e-7
"""Forward and backward, on one core."""


class Demand(NamedTuple):
    """Request of the first attempt of a training run."""

    memory: int
    """Main memory in MB."""
    core_minutes: int | None
    """On one core; None if the budget is in epochs, whose length depends on the data."""

    def minutes(self, threads: int) -> int:
        """Minutes on so many cores, at most DAY."""
        if self.core_minutes is None:
            return DAY
        return min(DAY, 20 + math.ceil(self.core_minutes / threads))


def demand(spec: str, size: int) -> Demand:
    """Request of a training run on images of `size` x `size` pixels; `spec` is a TrainSpec as JSON."""
    settings: TrainSpec = json.loads(spec)
    training = settings["training"]
    # The number of channels of the images does not change what layers write.
    work = work_of(settings["method"], settings["options"], Backbone(**settings["backbone"]), channels=1, size=size)
    values = training["batch_size"] * work.training.values
    memory = BASE_MEMORY + math.ceil(values * BYTES_PER_VALUE / 1e6)
    if training["steps"] is None:
        return Demand(memory, None)
    return Demand(memory, math.ceil(training["steps"] * values * SECONDS_PER_VALUE / 60))

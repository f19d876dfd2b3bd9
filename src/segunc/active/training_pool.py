"""The training images, and which of them are labelled first. Needs neither annotations nor a model."""

from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from segunc.data.store import Images, read_split
from segunc.runtime.errors import UserError


class StartSpec(TypedDict):
    """Spec of an initial labelled set, as `segunc.config.specs.active_start` writes it."""

    start: int
    """Images labelled in round 0."""
    seed: int


def initial_set(spec: StartSpec, n: int) -> NDArray[np.int64]:
    """Positions (start,) in [0, n) of the initial labelled set; a larger `start` adds to the set of a smaller one."""
    return np.random.default_rng(spec["seed"]).permutation(n)[: spec["start"]]


def read_training_images(data: Path, seed: int, needed: int) -> Images:
    """The training images of a seed.

    Raises UserError if there are fewer than `needed`, the number labelled in the last round.

    Checked in every round, not only in round 0, since `rounds` may be raised later.
    """
    train = read_split(data, "train", seed)
    if needed > len(train.image_id):
        raise UserError(
            f"config keys active.start, active.add and active.rounds add up to {needed} labelled images, but "
            f"{data} has {len(train.image_id)} in its training split; lower one of them."
        )
    return train

"""Acquisition: the images that each round of active learning adds to the labelled ones.

The choice depends on data, seed, round and strategy. With a strategy that needs no model, all models of a seed learn
from the same images.
"""

import importlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from segunc.active import labelled_set
from segunc.data.store import Images, take
from segunc.evaluation.annotation_stats import disagreement, disputed_pixels, foreground
from segunc.runtime.errors import UserError
from segunc.strategies import Needs, Pool


class AcquireSpec(TypedDict):
    """Spec of a round's acquisition, as `segunc.config.specs.active_acquire` writes it."""

    method: str
    """A file in `segunc.strategies`."""
    options: dict[str, Any]
    add: int
    """Images labelled per round."""
    draws: NotRequired[int]
    """Samples per image of the pool, if the strategy needs uncertainty."""
    seed: int
    round: int
    """From 1."""


def next_picks(
    spec: AcquireSpec, train: Images, positions: NDArray[np.int64], predictions: Mapping[str, NDArray]
) -> NDArray[np.int64]:
    """Positions (add,) of the training images that are labelled next: all different, none labelled yet.

    `positions`, (L,), are those of the labelled images. `predictions` are the model's for all N training images: the
    fields of the Pool that the strategy needs, (N, ...) each; empty for strategies that need no model.

    Raises UserError if the strategy breaks the contract of `segunc.strategies`.
    """
    method = importlib.import_module(f"segunc.strategies.{spec['method']}")
    free = np.setdiff1d(np.arange(len(train.image_id)), positions)
    needs: Needs = method.NEEDS
    fields = {name: values[free] for name, values in predictions.items()}
    if needs == "features":
        fields["labelled_features"] = predictions["features"][positions]
    elif needs == "annotations":
        images = take(train, free)
        fields = {
            "foreground": foreground(images),
            "disagreement": np.nan_to_num(disagreement(images)),
            "disputed_pixels": np.nan_to_num(disputed_pixels(images)),
        }
    pool = Pool(
        group_id=train.group_id[free],
        patient_id=train.patient_id[free],
        labelled_group_id=train.group_id[positions],
        labelled_patient_id=train.patient_id[positions],
        **fields,
    )
    seed = [spec["seed"], spec["round"], zlib.crc32(spec["method"].encode())]
    first, again = (method.pick(pool, spec["add"], np.random.default_rng(seed), **spec["options"]) for _ in range(2))
    return free[checked_picks(first, again, len(free), spec["add"], str(method.__file__))]


def checked_picks(picks: Any, again: Any, n: int, k: int, path: str) -> NDArray[np.integer]:
    """The picks of a strategy as an array; UserError if they break the contract of `segunc.strategies`.

    `again`: the picks of a second call with an equal generator; path: the file that defines the strategy.
    """
    found = np.asarray(picks)
    if found.dtype.kind not in "iu":
        fault = f"returns values of the type {found.dtype}, not integers; return positions in the pool"
    elif found.shape != (k,):
        fault = f"returns positions of the shape {found.shape}, where {k} are asked for; return the shape ({k},)"
    elif outside := [position for position in found.tolist() if not 0 <= position < n]:
        fault = f"returns the position {outside[0]}, but the {n} images of the pool have 0 to {n - 1}; pick among these"
    elif len(np.unique(found)) < k:
        values, counts = np.unique(found, return_counts=True)
        fault = f"returns the position {values[counts.argmax()]} more than once; pick different images"
    elif not np.array_equal(found, np.asarray(again)):
        fault = "returns other positions for an equal generator; take all random numbers from rng"
    else:
        return found
    raise UserError(f"{path} breaks the contract of strategies (segunc.strategies): pick() {fault}.")


def next_round(
    spec: AcquireSpec, train: Images, data: Path, before: Path, predictions: Mapping[str, NDArray]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of all L images that are labelled in a round, and the round in which each was picked, (L,) each.

    `before` is the previous round's `labelled.csv`. Raises UserError if fewer than `add` images of `data` are left.
    """
    n = len(train.image_id)
    positions, rounds = labelled_set.read(before, train.image_id)
    if spec["add"] > n - len(positions):
        raise UserError(
            f"config key active.add asks for {spec['add']} images in round {spec['round']}, but of the {n} in the "
            f"training split of {data} {n - len(positions)} are left; lower it or active.rounds."
        )
    positions = np.concatenate([positions, next_picks(spec, train, positions, predictions)])
    return positions, np.concatenate([rounds, np.full(spec["add"], spec["round"])])

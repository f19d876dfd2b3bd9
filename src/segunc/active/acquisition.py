"""Acquisition: which training images are labelled first, and which next.

The choice depends on data, seed, round and strategy. Without a model's predictions, all models of a seed learn from the
same images.
"""

import importlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segunc.active import labelled_set
from segunc.data.store import Images, read_split, take
from segunc.evaluation.annotation_stats import disagreement, foreground
from segunc.runtime.errors import UserError
from segunc.strategies import Pool


def initial_set(spec: Mapping[str, Any], n: int) -> NDArray[np.int64]:
    """`start` of n positions; `spec` is `segunc.config.specs.active_start`. A larger `start` adds to the set of a smaller."""
    return np.random.default_rng(spec["seed"]).permutation(n)[: spec["start"]]


def next_picks(
    spec: Mapping[str, Any], train: Images, positions: NDArray[np.int64], predictions: Mapping[str, NDArray]
) -> NDArray[np.int64]:
    """The `add` positions among the training images that are labelled next; none is labelled yet, none comes twice.

    `spec` is `segunc.config.specs.active_acquire`, `positions` the labelled images, `predictions` what the network predicts for all
    training images: the fields of the Pool that the strategy needs, (N, ...) each.
    """
    method = importlib.import_module(f"segunc.strategies.{spec['method']}")
    free = np.setdiff1d(np.arange(len(train.image_id)), positions)
    fields = {name: values[free] for name, values in predictions.items()}
    if method.NEEDS == "features":
        fields["labelled_features"] = predictions["features"][positions]
    elif method.NEEDS == "annotations":
        images = take(train, free)
        fields = {"foreground": foreground(images), "disagreement": np.nan_to_num(disagreement(images))}
    pool = Pool(
        group_id=train.group_id[free],
        patient_id=train.patient_id[free],
        labelled_group_id=train.group_id[positions],
        labelled_patient_id=train.patient_id[positions],
        **fields,
    )
    rng = np.random.default_rng([spec["seed"], spec["round"], zlib.crc32(spec["method"].encode())])
    picks = free[method.pick(pool, spec["add"], rng, **spec["options"])]
    assert len(np.unique(picks)) == spec["add"]
    return picks


def next_round(
    spec: Mapping[str, Any], train: Images, data: Path, before: Path, predictions: Mapping[str, NDArray]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of all images that are labelled by a round, and the round of each; `before` is the round before's file.

    Raises UserError if fewer than `add` images of `data` are left.
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


def read_pool(data: Path, needed: int) -> Images:
    """The training images; UserError if there are fewer than `needed`, which the last round will have labelled.

    Checked by the start and by every pick, since `rounds` may be raised when there is a start set already.
    """
    train = read_split(data, "train")
    if needed > len(train.image_id):
        raise UserError(
            f"config keys active.start, active.add and active.rounds add up to {needed} labelled images, but "
            f"{data} has {len(train.image_id)} in its training split; lower one of them."
        )
    return train

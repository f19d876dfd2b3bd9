"""Stage `pick`: which training images are labelled first, or, given those that are, next.

What is drawn depends on data, seed, round and strategy, not on the model: strategies that ask no network pick the
same images for all models. Only where one is asked, torch is imported.
"""

import argparse
import importlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segunc import labelled
from segunc.composition import disagreement, foreground
from segunc.data.store import Images, read_split, take
from segunc.errors import UserError, stage
from segunc.strategies import Pool


def start_set(spec: Mapping[str, Any], n: int) -> NDArray[np.int64]:
    """`start` of n positions; `spec` is `segunc.config.start_spec`. A larger `start` adds to the set of a smaller."""
    return np.random.default_rng(spec["seed"]).permutation(n)[: spec["start"]]


def next_picks(
    spec: Mapping[str, Any], train: Images, positions: NDArray[np.int64], asked: Mapping[str, NDArray]
) -> NDArray[np.int64]:
    """The `add` positions among the training images that are labelled next; none is labelled yet, none comes twice.

    `spec` is `segunc.config.pick_spec`, `positions` the labelled images, `asked` what the network says of all training
    images: the fields of the Pool that the strategy needs, (N, ...) each.
    """
    method = importlib.import_module(f"segunc.strategies.{spec['method']}")
    free = np.setdiff1d(np.arange(len(train.image_id)), positions)
    fields = {name: values[free] for name, values in asked.items()}
    if method.NEEDS == "features":
        fields["labelled_features"] = asked["features"][positions]
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


def ask(spec: Mapping[str, Any], train: Images, weights: Path, device: str, threads: int) -> dict[str, NDArray]:
    """What the network says of all training images, as far as the strategy needs it."""
    import torch

    from segunc import pool
    from segunc.hardware import use

    where = use(device, threads)
    trained = torch.load(weights, map_location=where, weights_only=True)
    if importlib.import_module(f"segunc.strategies.{spec['method']}").NEEDS == "features":
        return {"features": pool.features(trained, train.images, where)}
    return pool.uncertainty(trained, train.images, spec["draws"], spec["seed"], where, f"pick {spec['method']}")


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--spec", type=json.loads, required=True)
    parser.add_argument("--needed", type=int, default=0, help="images that the last round will have labelled")
    parser.add_argument("--labelled", type=Path, help="the round before; without it, the start set is drawn")
    parser.add_argument("--weights", type=Path, help="of the round before, for strategies that ask its network")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()

    train, spec = read_split(args.data, "train"), args.spec
    n = len(train.image_id)
    # Checked by the start and by every pick, since `rounds` may be raised when there is a start set already.
    needed = max(args.needed, spec.get("start", 0))
    if needed > n:
        raise UserError(
            f"config keys active.start, active.add and active.rounds add up to {needed} labelled images, but "
            f"{args.data} has {n} in its training split; lower one of them."
        )
    if args.labelled is None:
        positions = start_set(spec, n)
        rounds = np.zeros_like(positions)
    else:
        positions, rounds = labelled.read(args.labelled, train.image_id)
        if spec["add"] > n - len(positions):
            raise UserError(
                f"config key active.add asks for {spec['add']} images in round {spec['round']}, but of the {n} in the "
                f"training split of {args.data} {n - len(positions)} are left; lower it or active.rounds."
            )
        asked = ask(spec, train, args.weights, args.device, args.threads) if args.weights else {}
        positions = np.concatenate([positions, next_picks(spec, train, positions, asked)])
        rounds = np.concatenate([rounds, np.full(spec["add"], spec["round"])])
    labelled.write(args.output, train.image_id[positions], rounds)


if __name__ == "__main__":
    main()

"""Stage `pick_with_network`: which training images are labelled next, by a strategy that asks the network of the round
before."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from segunc.active import labelled_set as labelled
from segunc.active import pool_predictions as pool
from segunc.data.store import Images
from segunc.learning.device import use
from segunc.active.acquisition import next_round, read_pool
from segunc.runtime.stage import stage, stage_parser


def ask(spec: Mapping[str, Any], train: Images, weights: Path, device: torch.device) -> dict[str, NDArray]:
    """What the network says of all training images, as far as the strategy needs it; `spec` is `config.pick_spec`."""
    trained = torch.load(weights, map_location=device, weights_only=True)
    if importlib.import_module(f"segunc.strategies.{spec['method']}").NEEDS == "features":
        return {"features": pool.features(trained, train.images, device)}
    return pool.uncertainty(trained, train.images, spec["draws"], spec["seed"], device, f"pick {spec['method']}")


@stage
def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--needed", type=int, default=0, help="images that the last round will have labelled")
    parser.add_argument("--labelled", type=Path, required=True, help="the round before")
    parser.add_argument("--weights", type=Path, required=True, help="likewise")
    parser.add_argument("--device", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()

    device = use(args.device, args.threads)
    train = read_pool(args.data, args.needed)
    asked = ask(args.spec, train, args.weights, device)
    positions, rounds = next_round(args.spec, train, args.data, args.labelled, asked)
    labelled.write(args.output, train.image_id[positions], rounds)


if __name__ == "__main__":
    main()

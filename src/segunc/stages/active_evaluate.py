"""Stage `active_test`: scores of a round's network on the test images, beside what the labelled images are made of."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segunc.active import labelled_set as labelled
from segunc.evaluation.annotation_stats import composition
from segunc.data.store import Images, read_split, take
from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically
from segunc.learning.device import use
from segunc.metrics.ged import energy_distances
from segunc.metrics.overlap import dice
from segunc.metrics.probability import cross_entropy
from segunc.evaluation.predictions import unpack
from segunc.learning.sampling import sample
from segunc.evaluation.scores import annotations_of
from segunc.runtime.stage import stage, stage_parser


def mean_scores(
    weights: dict[str, Any], test: Images, spec: Mapping[str, Any], device: torch.device, what: str
) -> dict[str, float]:
    """Means over the test images of four of the scores of `segunc.scores`; `spec` is `segunc.config.sample_spec`."""
    arrays, draws = sample(weights, test.images, spec["draws"], spec["seed"], device, what)
    rows = []
    for i, probability in enumerate(arrays["mean_probability"]):
        annotations, masks = annotations_of(test, i), unpack(arrays["samples"][i], probability.shape)
        distances = energy_distances(masks, annotations, exact=draws == "exact")
        rows.append(
            {
                "cross_entropy": cross_entropy(probability, annotations),
                "dice": dice(probability > 0.5, annotations),
                "ged_16": distances["ged_16"],
                "ged_u_16": distances["ged_u_16"],
            }
        )
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


@stage
def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labelled", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--strategy", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--round", type=int, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="CSV to write: one row")
    args = parser.parse_args()

    device = use(args.device, args.threads)
    train, test = read_split(args.data, "train"), read_split(args.data, "test")
    if len(test.images) == 0:
        raise UserError(f"{args.data} has no images in its test split; change the dataset's split in the config.")
    positions, rounds = labelled.read(args.labelled, train.image_id)
    picked = composition(take(train, positions[rounds == args.round]))
    cell = {name: getattr(args, name) for name in ("dataset", "model", "strategy", "seed", "round")}
    what = "test {dataset} {model} {strategy} seed {seed} round {round}".format(**cell)
    weights = torch.load(args.weights, map_location=device, weights_only=True)
    row = {
        **cell,
        "images": len(positions),
        **mean_scores(weights, test, args.spec, device, what),
        **composition(take(train, positions)),
        **{f"picked_{name}": value for name, value in picked.items()},
    }
    with write_atomically(args.output) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerow({name: f"{value:.9g}" if isinstance(value, float) else value for name, value in row.items()})


if __name__ == "__main__":
    main()

"""Stage `active_evaluate`: test scores of a round's network, and statistics of the labelled images."""

import csv
from pathlib import Path

from segunc.active import labelled_set
from segunc.active.round_scores import mean_scores
from segunc.data.store import read_split, take
from segunc.evaluation.annotation_stats import composition
from segunc.learning.device import select_device
from segunc.learning.weights import load_weights
from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: Path,  # the dataset's store
    labelled: Path,  # labelled.csv of this round
    weights: Path,  # of this round
    dataset: str,  # id of the dataset
    model: str,  # id of the model
    strategy: str,  # id of the strategy; `start` in round 0
    seed: int,  # of the training run
    round: int,  # from 0
    device: str,  # auto, cpu or cuda
    threads: int,  # CPU cores
    scores: Path,  # CSV to write: one row
) -> None:
    of_device = select_device(device, threads)
    train, test = read_split(data, "train"), read_split(data, "test")
    if len(test.images) == 0:
        raise UserError(f"{data} has no images in its test split; change the dataset's split in the config.")
    positions, rounds = labelled_set.read(labelled, train.image_id)
    picked = composition(take(train, positions[rounds == round]))
    what = f"evaluate {dataset} {model} {strategy} seed {seed} round {round}"
    trained = load_weights(weights)
    row = {
        **{"dataset": dataset, "model": model, "strategy": strategy, "seed": seed, "round": round},
        "images": len(positions),
        **mean_scores(trained, test, job.spec, of_device, what),
        **composition(take(train, positions)),
        **{f"picked_{name}": value for name, value in picked.items()},
    }
    with write_atomically(scores) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerow({name: f"{value:.9g}" if isinstance(value, float) else value for name, value in row.items()})


if __name__ == "__main__":
    main()

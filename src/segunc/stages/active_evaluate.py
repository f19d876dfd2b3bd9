"""Stage `active_evaluate`: scores the samples of a round's network per test image, without running the network."""

from pathlib import Path

from segunc.active import round_scores
from segunc.data.store import read_split
from segunc.evaluation.predictions import read_predictions
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: Path,  # the dataset's store
    samples: Path,  # samples file of this round
    dataset: str,  # id of the dataset
    model: str,  # id of the model
    strategy: str,  # id of the strategy; `start` in round 0
    seed: int,  # of the training run
    round: int,  # from 0
    images: Path,  # CSV to write: a row per test image
) -> None:
    test, validation = read_split(data, "test", seed), read_split(data, "val", seed)
    cell = {"dataset": dataset, "model": model, "strategy": strategy, "seed": seed, "round": round}
    predictions = read_predictions(samples, test, validation if len(validation.image_id) else None)
    round_scores.write(images, {**cell, "images": job.spec["images"]}, test, predictions)


if __name__ == "__main__":
    main()

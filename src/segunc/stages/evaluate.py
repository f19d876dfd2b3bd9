"""Stage `evaluate`: scores the samples of one trained model against the annotations, without running the network.

The level sets of its mean probability are scored as well.
"""

from pathlib import Path

from segunc.data.store import read_split
from segunc.evaluation.predictions import read_predictions
from segunc.evaluation.scores import score_with_levels, write
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: Path,  # the dataset's store
    samples: Path,  # samples file of the model
    dataset: str,  # id of the dataset
    model: str,  # id of the model
    seed: int,  # of the training run
    scores: list[Path],  # files to write: images.csv, levels.csv, pixels.csv.gz, calibration.csv.gz
) -> None:
    test, validation = read_split(data, "test", seed), read_split(data, "val", seed)
    predictions = enumerate(read_predictions(samples, test, validation))
    write(scores, (score_with_levels(dataset, model, seed, test, i, prediction) for i, prediction in predictions))


if __name__ == "__main__":
    main()

"""Stage `baselines`: scores of the baselines, which need the data alone."""

from pathlib import Path

from segunc.evaluation.baselines import from_data
from segunc.evaluation.scores import write
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: Path,  # the dataset's store
    dataset: str,  # id of the dataset
    seed: int,  # of the training runs that are compared with the baselines
    scores: list[Path],  # files to write: images.csv, levels.csv, pixels.csv.gz, calibration.csv.gz
) -> None:
    write(scores, from_data(data, dataset, seed))


if __name__ == "__main__":
    main()

"""Stage `baselines`: scores of the baselines that need the data alone."""

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
    scores: list[Path],  # files to write: images.csv and pixels.csv.gz
) -> None:
    write(scores, from_data(data, dataset))


if __name__ == "__main__":
    main()

"""Stage `baseline_threshold`: scores of the U-Net's probability map, thresholded at 16 levels."""

from pathlib import Path

from segunc.evaluation.baselines import from_unet
from segunc.evaluation.scores import write
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: Path,  # the dataset's store
    samples: Path,  # of the U-Net
    dataset: str,  # id of the dataset
    seed: int,  # of the U-Net
    scores: list[Path],  # files to write: images.csv, pixels.csv.gz and calibration.csv.gz
) -> None:
    write(scores, from_unet(data, samples, dataset, seed))


if __name__ == "__main__":
    main()

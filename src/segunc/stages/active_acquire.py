"""Stage `active_acquire`: chooses the images that a round labels, with a strategy that needs no model."""

from pathlib import Path

from segunc.active import labelled_set
from segunc.active.acquisition import next_round
from segunc.active.training_pool import read_training_images
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: Path,  # the dataset's store
    before: Path,  # labelled.csv of the previous round
    needed: int = 0,  # images that are labelled in the last round
    labelled: Path,  # CSV to write
) -> None:
    train = read_training_images(data, job.spec["seed"], needed)
    positions, rounds = next_round(job.spec, train, data, before, {})
    labelled_set.write(labelled, train.image_id[positions], rounds)


if __name__ == "__main__":
    main()

"""Stage `active_acquire_with_model`: chooses the images that a round labels, with the previous round's model."""

from pathlib import Path

from segunc.active import labelled_set
from segunc.active.acquisition import next_round
from segunc.active.pool_predictions import predict
from segunc.active.training_pool import read_training_images
from segunc.learning.device import select_device
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: Path,  # the dataset's store
    before: Path,  # labelled.csv of the previous round
    weights: Path,  # of the previous round
    needed: int = 0,  # images that are labelled in the last round
    device: str,  # auto, cpu or cuda
    threads: int,  # CPU cores
    labelled: Path,  # CSV to write
) -> None:
    of_device = select_device(device, threads)
    train = read_training_images(data, job.spec["seed"], needed)
    predictions = predict(job.spec, train, weights, of_device)
    positions, rounds = next_round(job.spec, train, data, before, predictions)
    labelled_set.write(labelled, train.image_id[positions], rounds)


if __name__ == "__main__":
    main()

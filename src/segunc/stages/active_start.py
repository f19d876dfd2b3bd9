"""Stage `active_start`: the initial labelled set of a seed, the same for all models and strategies."""

from pathlib import Path

import numpy as np

from segunc.active import labelled_set
from segunc.active.training_pool import initial_set, read_training_images
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: Path,  # the dataset's store
    needed: int = 0,  # images that are labelled in the last round
    labelled: Path,  # CSV to write
) -> None:
    train = read_training_images(data, job.spec["seed"], max(needed, job.spec["start"]))
    positions = initial_set(job.spec, len(train.image_id))
    labelled_set.write(labelled, train.image_id[positions], np.zeros_like(positions))


if __name__ == "__main__":
    main()

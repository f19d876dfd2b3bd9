"""Stage `active_train`: trains one network on the labelled images alone, for a fixed number of gradient steps.

No validation set is held out: with few labels, all are used for training, and the last weights are kept. All rounds and
strategies of a seed start from the same initial weights, except for the output bias, which depends on the foreground.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np

from segunc.active import labelled_set
from segunc.data.store import read_split, take
from segunc.learning import checkpoint
from segunc.learning.device import select_device
from segunc.learning.training import divergence, train
from segunc.learning.weights import write_weights
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: Path,  # the dataset's store
    labelled: Path,  # labelled.csv of this round
    name: str,  # name of this run in progress lines
    device: str,  # auto, cpu or cuda
    threads: int,  # CPU cores
    weights: Path,  # weights.pt to write
    checkpoints: Path | None = None,  # folder of this run alone; without it, no checkpoints are written
) -> None:
    of_device = select_device(device, threads)
    images = read_split(data, "train", job.spec["seed"])
    positions, _ = labelled_set.read(labelled, images.image_id)
    # In the order of the store, so that the order of picking does not matter.
    images, what = take(images, np.sort(positions)), f"train {name}"
    trained, _ = train(job.spec, images, None, of_device, what, checkpoints, json.dumps(job.code))
    if not all(value.isfinite().all() for value in trained["state"].values()):
        raise divergence(what, "the weights contain NaN or infinity", job.spec["training"])
    write_weights(weights, trained)
    if checkpoints is not None:
        job.afterwards.append(partial(checkpoint.remove, checkpoints))


if __name__ == "__main__":
    main()

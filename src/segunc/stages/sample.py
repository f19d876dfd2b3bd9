"""Stage `sample`: samples masks from a trained network, for all later stages."""

import json
from pathlib import Path

from segunc.data.store import read_split
from segunc.learning.device import select_device
from segunc.learning.sampling import sample, write_samples
from segunc.learning.train_spec import SampleSpec
from segunc.learning.weights import load_weights
from segunc.runtime.errors import UserError
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: Path,  # the dataset's store
    weights: Path,  # of the trained network
    name: str,  # name of this job in progress lines
    device: str,  # auto, cpu or cuda
    threads: int,  # CPU cores
    samples: Path,  # HDF5 file to write
) -> None:
    of_device = select_device(device, threads)
    test = read_split(data, "test")
    if len(test.images) == 0:
        raise UserError(f"{data} has no images in its test split; change the dataset's split in the config.")
    trained = load_weights(weights)
    spec: SampleSpec = job.spec
    arrays, draws = sample(trained, test.images, spec["draws"], spec["seed"], of_device, f"sample {name}")
    write_samples(samples, arrays, test, draws, {"sample": spec, "train": json.loads(trained["spec"])})


if __name__ == "__main__":
    main()

"""Stage `sample`: samples masks from a trained network, for all later stages."""

from pathlib import Path

from segunc.learning.device import select_device
from segunc.learning.sampling import write_samples
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
    write_samples(samples, data, weights, job.spec, select_device(device, threads), f"sample {name}")


if __name__ == "__main__":
    main()

"""Stage `active_sample`: samples masks from the network of a round, as the stage `sample` does in the main grid.

Its file has no maps of uncertainty: there are many rounds, and no score of a round needs them.
"""

from pathlib import Path

from segunc.learning.device import select_device
from segunc.learning.sampling import write_samples
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: Path,  # the dataset's store
    weights: Path,  # of the round's network
    name: str,  # name of this job in progress lines
    device: str,  # auto, cpu or cuda
    threads: int,  # CPU cores
    samples: Path,  # HDF5 file to write
) -> None:
    of_device = select_device(device, threads)
    write_samples(samples, data, weights, job.spec, of_device, f"sample {name}", maps=False)


if __name__ == "__main__":
    main()

"""Stage `import_predictions`: the samples file of a model whose predictions were made elsewhere."""

from pathlib import Path

from segunc.evaluation.imported import write_imported
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: Path,  # the dataset's store
    predictions: Path,  # folder, archive or HDF5 file
    name: str,  # name of this job in progress lines
    samples: Path,  # HDF5 file to write
) -> None:
    write_imported(samples, data, predictions, job.spec, f"import {name}")


if __name__ == "__main__":
    main()

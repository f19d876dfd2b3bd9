"""Stage `prepare`: raw images of any format become one HDF5 store with images of one size and a split by patient."""

from pathlib import Path

from segunc.data.preparation import prepare, summary
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    raw: dict[str, Path],  # raw data, by the name of the option of the raw format
    store: Path,  # HDF5 file to write
) -> None:
    prepare(job.spec, raw, store)
    print(summary(store))


if __name__ == "__main__":
    main()

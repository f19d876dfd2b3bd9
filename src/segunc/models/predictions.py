"""`predictions`: a model that was trained and sampled elsewhere, whose predictions are files.

It has no training, and no network runs: its samples are read from a folder, an archive or an HDF5 file, in one of the
layouts of `segunc.data.prediction_files`. A folder with predictions for several datasets has a folder for each, called
by its id in the config. Folders `seed0`, `seed1`, ... are the predictions of one training each; without them, all seeds
have the same predictions.
"""

from pathlib import Path
from typing import Literal


def read(
    *,
    folder: Path,  # folder, archive or HDF5 file with the predictions
    samples: Literal["exact", "independent"] = "independent",  # exact: they are all outcomes, equally probable
    pixels: Literal["mask", "probability"] = "mask",  # what the grey levels of PNG files are
) -> None:
    """Declares the options; the stage `import_predictions` reads the files."""

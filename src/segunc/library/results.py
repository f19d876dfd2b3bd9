"""The results of a run as arrays and tables: files as docs/architecture.md specifies them, read one image at a time."""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from segunc.data.hdf5 import open_hdf5
from segunc.data.result_csv import open_csv
from segunc.evaluation.predictions import unpack
from segunc.evaluation.scores import SCORES
from segunc.level_rows import SUFFIX, is_levels
from segunc.runtime.errors import UserError

__all__ = ["Results", "load"]

IDS = ("dataset", "model", "metric", "image_id", "group_id", "patient_id")
"""Columns that are text, whatever it looks like."""
SHOWN = 6
"""Names that a sentence lists."""


RUNS = "runs"
"""Folder of the tables, figures and reports of named runs."""


def load(folder: str | PathLike[str], run: str | None = None) -> "Results":
    """The results of a run.

    Parameters
    ----------
    folder
        The results folder, such as `results`.
    run
        Name of the run (`run` in its config), if it has one.

    Raises
    ------
    UserError
        If it is no results folder, or has no such run.
    """
    path = Path(folder)
    if not (path / "data").is_dir():
        raise UserError(f"{path} is not a results folder, because it has no folder data; name that of a run.")
    if run is not None and not (path / RUNS / run).is_dir():
        found = _listed(other.name for other in (path / RUNS).glob("*/"))
        raise UserError(f"{path / RUNS} has no run {run!r}, but {found}; name one of these.")
    return Results(path, run)


class Results:
    """What a run has written so far. Nothing is kept in memory, so it stays valid while the run goes on.

    Methods raise UserError with one sentence if a run, an image or a file is not there, or if a file is damaged.
    """

    def __init__(self, folder: Path, run: str | None = None) -> None:
        """Of an existing results folder; see `load`."""
        self.folder, self.run = folder, run

    def __repr__(self) -> str:
        run = f", {self.run!r}" if self.run else ""
        return f"segunc.load({str(self.folder)!r}{run})"

    @property
    def networks(self) -> list[tuple[str, str, int]]:
        """Dataset, model and seed of each trained network with samples, sorted."""
        paths = (self.folder / "samples").glob("*/*/seed*.h5")
        return sorted((*path.parts[-3:-1], int(path.stem.removeprefix("seed"))) for path in paths)  # type: ignore[misc]

    @property
    def summary(self) -> pd.DataFrame:
        """`tables/summary.csv`: a row per dataset, model and metric, with mean and interval."""
        shown = self.folder / RUNS / self.run if self.run else self.folder
        with open_csv(shown / "tables/summary.csv") as file:
            return pd.read_csv(file, dtype=dict.fromkeys(IDS, str), keep_default_na=False, na_values=[""])

    def scores(self, dataset: str, model: str, seed: int) -> pd.DataFrame:
        """`images.csv` of a run: a row per test image, in the order of `test_images`; undefined scores are NaN.

        Those of all baselines are under `baselines`, and `<model>+levels` are the level sets of a model's mean
        probability.
        """
        folder = self._of_run("scores", "", dataset, model.removesuffix(SUFFIX), seed)
        path = folder / ("levels.csv" if is_levels(model) else "images.csv")
        kinds = {**dict.fromkeys(IDS, str), **dict.fromkeys(SCORES, float)}
        # An image may be called "NA"; an undefined score is `nan`.
        undefined = {name: ["nan"] for name in SCORES}
        with open_csv(path) as file:
            return pd.read_csv(file, dtype=kinds, keep_default_na=False, na_values=undefined)

    def test_images(self, dataset: str, model: str, seed: int) -> list[str]:
        """Ids of the test images of a run."""
        with open_hdf5(self._samples(dataset, model, seed)) as file:
            return file["image_id"].asstr()[:].tolist()

    def exact(self, dataset: str, model: str, seed: int) -> bool:
        """Whether the samples of a run are all outcomes of its network, as of a U-Net or an ensemble.

        Energy distances need to know (`segunc.ged`).
        """
        with open_hdf5(self._samples(dataset, model, seed)) as file:
            return bool(file.attrs["draws"] == "exact")

    def samples(self, dataset: str, model: str, seed: int, image_id: str) -> NDArray[np.bool_]:
        """The sampled masks of a test image, bool (S, H, W)."""
        path = self._samples(dataset, model, seed)
        with open_hdf5(path) as file:
            shape = int(file.attrs["height"]), int(file.attrs["width"])
            return unpack(file["samples"][_position(path, file, image_id)], shape)

    def mean(self, dataset: str, model: str, seed: int, image_id: str) -> NDArray[np.float32]:
        """The foreground probability of a test image, float32 (H, W) in [0, 1]: the mean of the samples."""
        path = self._samples(dataset, model, seed)
        with open_hdf5(path) as file:
            return file["mean_probability"][_position(path, file, image_id)]

    def image(self, dataset: str, image_id: str) -> NDArray[np.uint8]:
        """An image of a dataset, uint8 (C, H, W): C is 1 (grey) or 3 (RGB)."""
        path = self._store(dataset)
        with open_hdf5(path) as file:
            return file["images"][_position(path, file, image_id)]

    def annotations(self, dataset: str, image_id: str) -> NDArray[np.bool_]:
        """The masks of all annotators who saw an image, bool (A, H, W)."""
        path = self._store(dataset)
        with open_hdf5(path) as file:
            position = _position(path, file, image_id)
            return file["masks"][position][file["annotated"][position]].astype(bool)

    def _store(self, dataset: str) -> Path:
        path = self.folder / "data" / f"{dataset}.h5"
        if not path.is_file():
            found = (other.stem for other in path.parent.glob("*.h5"))
            raise UserError(f"{path.parent} has no dataset {dataset!r}, but {_listed(found)}; name one of these.")
        return path

    def _samples(self, dataset: str, model: str, seed: int) -> Path:
        return self._of_run("samples", ".h5", dataset, model, seed)

    def _of_run(self, kind: str, suffix: str, dataset: str, model: str, seed: int) -> Path:
        """A file or folder of a run; UserError with what there is, from the first name on that does not exist."""
        folder = self.folder / kind
        names = {"dataset": dataset, "model": model, "seed": f"seed{seed}{suffix}"}
        for what, name in names.items():
            if not (folder / name).exists():
                found = (path.name.removeprefix("seed" if what == "seed" else "") for path in folder.glob("[!.]*"))
                given = seed if what == "seed" else name
                listed = _listed(other.removesuffix(suffix) for other in found)
                raise UserError(f"{folder} has no {what} {given!r}, but {listed}; name one of these.")
            folder = folder / name
        return folder


def _position(path: Path, file: h5py.File, image_id: str) -> int:
    """The position of an image in a store or a samples file."""
    ids = file["image_id"].asstr()[:].tolist()
    if image_id not in ids:
        raise UserError(f"{path} has no image {image_id!r}, but {_listed(ids)}; name one of these.")
    return ids.index(image_id)


def _listed(names: Iterable[str]) -> str:
    """`a, b and 3 more`, sorted; `nothing` for none."""
    found = sorted(names)
    shown = ", ".join(found[:SHOWN])
    return f"{shown} and {len(found) - SHOWN} more" if len(found) > SHOWN else shown or "nothing"

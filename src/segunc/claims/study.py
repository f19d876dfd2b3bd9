"""What the claims read of one dataset, and quantities of it with their intervals."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

import pandas as pd
from numpy.typing import NDArray

from segunc.active.tables import UNITS, Curves, CurvesSpec, curves, read_rounds
from segunc.claims.verdicts import CONFIDENCE, Part
from segunc.data.result_csv import open_csv
from segunc.evaluation.scores import COLUMNS, SCORES
from segunc.evaluation.statistics import Estimate, Scale, Units, two_way, two_way_statistic
from segunc.evaluation.tables import read_cells

UNDEFINED = "undefined on every image"
ONE_SEED = "defined in one seed only"
PICKS = ["dataset", "model", "strategy", "seed", "round", "measure", "picks", "pool", "null_sd", "n_picks"]
"""The columns of `active_picks.csv` that are read."""


class ClaimsSpec(TypedDict):
    """The spec of the step `claims_tabulate`."""

    roles: dict[str, dict[str, str]]
    """`Study.roles` by dataset of the main grid."""
    learners: dict[str, dict[str, str]]
    """`Study.learners` by dataset of active learning."""
    uncertainty: str
    """`Study.uncertainty`."""
    active: CurvesSpec


class Study(NamedTuple):
    """What the claims read of one dataset."""

    roles: Mapping[str, str]
    """What each model of the main grid is, in the grid's order: its method, or `ensemble_index`."""
    images: pd.DataFrame
    """Scores of the test images of these models (`images.csv` of all seeds), indexed by UNITS."""
    learners: Mapping[str, str]
    """The same as `roles` for the models of active learning."""
    curves: Mapping[tuple[str, str], Curves]
    """Their learning curves, by model and strategy."""
    picks: pd.DataFrame
    """PICKS of all their rounds."""
    uncertainty: str
    """The id of uncertainty sampling by the sum of entropies; empty if there is none."""

    def named(self, role: str) -> str:
        """The first model of a role; the role itself if there is none, so that it is named as missing."""
        return next((model for model, its in self.roles.items() if its == role), role)

    def others(self, role: str) -> list[str]:
        """The models of all other roles."""
        return [model for model, its in self.roles.items() if its != role]

    def scores(self, model: str, several: bool = False) -> pd.DataFrame:
        """The rows of a model. several: only those of images with several annotators."""
        rows = self.images[self.images["model"] == model]
        return rows[rows["annotators"] > 1] if several else rows

    def absence(self, models: Sequence[str]) -> str:
        """Why there is no quantity of these models."""
        for model in models:
            if model not in self.roles:
                return f"no {model} in the grid"
            if not (self.images["model"] == model).any():
                return f"no scores of {model}"
        if not (self.images["annotators"] > 1).any():
            return "one annotator per image"
        return UNDEFINED

    def part(self, name: str, models: Sequence[str], estimand: str, margin: float, estimate: Estimate | None) -> Part:
        """A part of a claim about models of the main grid, with the reason why there is no estimate, if so."""
        note = "" if estimate else self.absence(models)
        if estimate and estimate.n_seeds == 1 < self.images.index.get_level_values("seed").nunique():
            note = ONE_SEED
        few = note in (UNDEFINED, ONE_SEED)
        return Part(name, tuple(models), estimand, margin, estimate, too_few=few, note=note)


def studies(
    spec: ClaimsSpec, images: Sequence[Path], rounds: Sequence[Path], picks: Sequence[Path]
) -> dict[str, Study]:
    """The studies by dataset, from `images.csv` of models and of rounds, and `active_picks.csv`.

    Raises UserError if a file is damaged (`open_csv`).
    """
    empty = pd.DataFrame(columns=COLUMNS).astype(dict.fromkeys(SCORES, float))
    cells = read_cells(images, list(spec["roles"]))
    learned = curves(read_rounds(rounds), spec["active"])
    picked = pd.concat([pd.DataFrame(columns=PICKS), *map(_read_picks, picks)])
    return {
        dataset: Study(
            spec["roles"].get(dataset, {}),
            pd.concat([empty, *(cell.runs for cell in cells if cell.dataset == dataset)]).set_index(UNITS),
            spec["learners"].get(dataset, {}),
            {(model, strategy): its for (of, model, strategy), its in learned.items() if of == dataset},
            picked[picked["dataset"] == dataset],
            spec["uncertainty"],
        )
        for dataset in spec["roles"] | spec["learners"]
    }


def _read_picks(path: Path) -> pd.DataFrame:
    texts = dict.fromkeys(("dataset", "model", "strategy", "measure"), str)
    undefined = {name: [""] for name in ("picks", "pool", "null_sd")}
    with open_csv(path) as file:
        return pd.read_csv(file, usecols=PICKS, dtype=texts, keep_default_na=False, na_values=undefined)  # type: ignore[arg-type]


def mean(values: pd.Series, scale: Scale = "identity") -> Estimate | None:
    """The mean of values that are indexed by UNITS, NaN where undefined; None if none is defined."""
    return two_way(values, units(values), confidence=CONFIDENCE, scale=scale) if values.notna().any() else None


def statistic(function: Callable[..., float], *columns: pd.Series) -> Estimate | None:
    """A statistic of columns that are indexed by UNITS; None if there is nothing in which all are defined.

    function: takes an array for each column, with the values of the same images of one seed.
    """
    table = pd.concat(columns, axis=1).dropna()
    if table.empty:
        return None
    values = table.to_numpy()
    return two_way_statistic(lambda rows: function(*values[rows].T), units(table), confidence=CONFIDENCE)


def share_below(values: NDArray, reference: NDArray) -> float:
    """By which share the mean of the values is below that of the reference.

    >>> import numpy as np
    >>> share_below(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    0.5
    """
    return 1 - float(values.mean() / reference.mean())


def units(values: pd.Series | pd.DataFrame) -> Units:
    """What each value or row belongs to."""
    seeds, images, patients = (values.index.get_level_values(name).to_numpy() for name in UNITS)
    return Units(images=images, patients=patients, seeds=seeds)

"""The tables of statistics that are no means over images: each is computed from all images of a seed together.

Their intervals are as those of means (`segunc.evaluation.statistics.two_way_statistic`). Cells without scores have no
rows.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from segunc.data.result_csv import open_csv
from segunc.evaluation.scores import KEY
from segunc.evaluation.statistics import Estimate, two_way_statistic
from segunc.evaluation.tables import COUNTS, CellScores, described, units_of
from segunc.metrics import aggregation
from segunc.metrics.calibration import BINS, Bins, ece
from segunc.metrics.ranking import augrc, aurc, risk_coverage

BinsByCell = Mapping[tuple[str, str], pd.DataFrame]
"""By dataset and model."""
COVERAGES = 20
"""Points of a risk-coverage curve: at 1 / 20 to 1."""


def failure_detection(cells: Sequence[CellScores], confidence: float) -> pd.DataFrame:
    """`failure_detection.csv`: does the uncertainty of an image tell that its mask is bad? Risk: 1 - Dice.

    A row per dataset, model, aggregation and map of uncertainty (`segunc.metrics.aggregation`). Areas are as in
    `segunc.metrics.ranking`; `chance` is that of a constant, `best` that of the risk itself, and `e_aurc` is `aurc`
    minus its best.
    """
    rows = []
    for cell in cells:
        for score in aggregation.NAMES:
            runs = cell.runs.dropna(subset=[score, "dice"])
            if runs.empty:
                continue
            risk, uncertainty = 1 - runs["dice"].to_numpy(), runs[score].to_numpy()
            how, _, of = score.removeprefix("u_").partition("_")
            row: dict[str, Any] = {"aggregation": how, "map": of or "samples"}
            for name, area in (("aurc", aurc), ("augrc", augrc)):
                result = two_way_statistic(_area(area, risk, uncertainty), units_of(runs), confidence=confidence)
                row |= _counted(cell, result) | _named(name, result)
                row[f"{name}_chance"] = _mean_over_seeds(_area(area, risk, np.zeros_like(risk)), runs)
                row[f"{name}_best"] = _mean_over_seeds(_area(area, risk, risk), runs)
            row["e_aurc"] = row["aurc"] - row["aurc_best"]
            row["n_undefined"] = cell.runs["image_id"].nunique() - row["n_images"]
            rows.append(row)
    of_aurc = ("aurc", "aurc_low", "aurc_high", "aurc_chance", "aurc_best", "e_aurc")
    of_augrc = ("augrc", "augrc_low", "augrc_high", "augrc_chance", "augrc_best")
    columns = ["dataset", "model", "aggregation", "map", *of_aurc, *of_augrc, *COUNTS, "n_undefined"]
    return pd.DataFrame(rows, columns=columns)


def risk_coverage_curves(cells: Sequence[CellScores]) -> pd.DataFrame:
    """`risk_coverage.csv`: mean risk (1 - Dice) of the least uncertain images, by the share that they are of all.

    Rows are as in `failure_detection`, COVERAGES for each. `risk` is the mean over seeds; `n_images` and `n_patients`
    are those of the seed with the fewest at this coverage.
    """
    rows = []
    for cell in cells:
        for score in aggregation.NAMES:
            how, _, of = score.removeprefix("u_").partition("_")
            curves = [
                _curve(own[score].to_numpy(), 1 - own["dice"].to_numpy(), own["patient_id"].to_numpy())
                for _, own in cell.runs.dropna(subset=[score, "dice"]).groupby("seed")
            ]
            if curves:
                risk = np.mean([curve["risk"] for curve in curves], axis=0)
                fewest = np.min([curve[["n_images", "n_patients"]] for curve in curves], axis=0)
                coverage = curves[0]["coverage"]
                key = (cell.dataset, cell.model, how, of or "samples")
                rows += [(*key, *point) for point in zip(coverage, risk, *fewest.T, strict=True)]
    columns = ["dataset", "model", "aggregation", "map", "coverage", "risk", "n_images", "n_patients"]
    return pd.DataFrame(rows, columns=columns)


def _curve(uncertainty: NDArray, risk: NDArray, patient: NDArray) -> pd.DataFrame:
    """The curve of one seed; all arrays are (N,)."""
    n = len(risk)
    images = -(-np.arange(1, COVERAGES + 1) * n // COVERAGES)
    _, first = np.unique(patient[np.argsort(uncertainty, kind="stable")], return_index=True)
    return pd.DataFrame(
        {
            "coverage": np.arange(1, COVERAGES + 1) / COVERAGES,
            "risk": risk_coverage(risk, uncertainty)[images - 1],
            "n_images": images,
            "n_patients": [(first < k).sum() for k in images],
        }
    )


def read_bins(paths: Sequence[Path]) -> BinsByCell:
    """The bins of all `calibration.csv.gz` files. Raises UserError if a file is damaged (`open_csv`)."""
    texts = dict.fromkeys(("dataset", "model", "image_id"), str)
    frames = []
    for path in paths:
        with open_csv(path) as file:
            frames.append(pd.read_csv(file, dtype=texts, keep_default_na=False))  # type: ignore[arg-type]
    return dict(iter(pd.concat(frames).groupby(["dataset", "model"]))) if frames else {}


def reliability(bins: BinsByCell, cells: Sequence[CellScores]) -> pd.DataFrame:
    """`reliability.csv`: mean probability and mean share of annotators by bin of probability, over the pixels of all
    images and seeds.

    A row per dataset, model and bin with pixels; `share` is the share of the pixels that are in the bin.
    """
    rows = []
    for cell in cells:
        if (cell.dataset, cell.model) not in bins:
            continue
        own = bins[cell.dataset, cell.model].merge(cell.runs[[*KEY, "patient_id"]], on=list(KEY))
        for number, of_bin in own.groupby("bin"):
            pixels = of_bin["pixels"].sum()
            means = (of_bin[name].sum() / pixels for name in ("probability", "frequency"))
            counts = (of_bin[name].nunique() for name in ("image_id", "patient_id"))
            edges = number / BINS, (number + 1) / BINS
            rows.append((cell.dataset, cell.model, *edges, pixels / own["pixels"].sum(), *means, *counts))
    columns = ["dataset", "model", "probability_low", "probability_high", "share", "probability", "frequency"]
    return pd.DataFrame(rows, columns=[*columns, "n_images", "n_patients"])


def calibration(bins: BinsByCell, cells: Sequence[CellScores], confidence: float) -> pd.DataFrame:
    """`calibration.csv`: expected calibration error of the mean probability, over the pixels of all images of a seed.

    A row per dataset and model. `ece_without_lowest` leaves out the pixels of the lowest bin, which are most of them
    and nearly all background.
    """
    key = list(KEY)
    rows = []
    for cell in cells:
        if (cell.dataset, cell.model) not in bins:
            continue
        images = cell.runs[key].assign(row=np.arange(len(cell.runs)))
        filled = bins[cell.dataset, cell.model].merge(images, on=key)
        sums = np.zeros((len(images), len(Bins._fields), BINS))
        sums[filled["row"], :, filled["bin"]] = filled[list(Bins._fields)]
        results = {
            name: two_way_statistic(_pooled_ece(sums, first), units_of(cell.runs), confidence=confidence)
            for name, first in (("ece", 0), ("ece_without_lowest", 1))
        }
        named = {column: value for name, result in results.items() for column, value in _named(name, result).items()}
        rows.append({**_counted(cell, results["ece"]), **named})
    columns = [f"{name}{end}" for name in ("ece", "ece_without_lowest") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["dataset", "model", *columns, *COUNTS])


def _pooled_ece(sums: NDArray[np.float64], first: int) -> Callable[[NDArray], float]:
    """ECE over the images in some rows of `sums`, (N, 3, BINS), as in Bins; first: the lowest bin that counts."""

    def pooled(rows: NDArray) -> float:
        together = Bins(*sums[rows].sum(axis=0)[:, first:])
        return ece(together) if together.pixels.any() else float("nan")

    return pooled


def _area(function: Callable[[NDArray, NDArray], float], risk: NDArray, uncertainty: NDArray) -> Callable:
    """The area of some rows."""
    return lambda rows: function(risk[rows], uncertainty[rows])


def _mean_over_seeds(statistic: Callable[[NDArray], float], runs: pd.DataFrame) -> float:
    seeds = runs["seed"].to_numpy()
    return float(np.mean([statistic(np.flatnonzero(seeds == seed)) for seed in np.unique(seeds)]))


def _named(name: str, result: Estimate) -> dict[str, float]:
    return {name: result.estimate, f"{name}_low": result.ci_low, f"{name}_high": result.ci_high}


def _counted(cell: CellScores, result: Estimate) -> dict[str, Any]:
    return {"dataset": cell.dataset, "model": cell.model, **described(cell.model, result)}

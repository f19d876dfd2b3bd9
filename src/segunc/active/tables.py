"""The tables of active learning, from the `images.csv` and `labelled.csv` of all rounds.

A learning curve is the mean test score against the number of labelled images. Its area, divided by the range of images,
is the mean score over the budget (AUBC; trapezoids, as in nnActive, Lüth et al. 2025). The area is taken for each test
image and seed, and so is its difference to `random`: strategies share the initial labelled set, the first network and
the initial weights of a seed. All intervals are over patients and seeds (`segunc.evaluation.statistics`).

If labels do not help, no strategy can. Therefore `gain` says how much `random` improves from its first to its last
round; where its interval does not lie above 0, a strategy is worse, or the comparison is uninformative.

Rounds may be missing because a job failed. Then the curve of that seed has no area, because the remaining rounds would
be another budget.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from segunc.active.round_scores import CELL, COLUMNS
from segunc.cells import START
from segunc.data.result_csv import open_csv
from segunc.evaluation.statistics import Estimate, Units, holm, two_way
from segunc.metrics.registry import METRICS, ROUND_SCORES, STRATEGIES_COMPARED

RANDOM = "random"
"""The strategy that all others are compared with."""
UNITS = ["seed", "image_id", "patient_id"]
"""Columns of `images.csv` that say what a score belongs to."""
COUNTS = ["n_seeds", "n_images", "n_patients", "effective_patients"]
LEARNING = [*CELL, "metric", "round", "images", "mean", "ci_low", "ci_high", "scope", *COUNTS]
SEEDS = [*CELL, "seed", "metric", "round", "images", "mean"]
SUMMARY = [*CELL, "metric", "role", "aubc", "aubc_low", "aubc_high", "difference", "difference_low", "difference_high"]
SUMMARY += ["p", "p_holm", "detectable", "gain", "gain_low", "gain_high", "verdict", "scope", *COUNTS]


class MissingRound(TypedDict):
    """A round whose scores are missing."""

    dataset: str
    model: str
    strategy: str
    seed: int
    round: int
    why: str


class CurvesSpec(TypedDict):
    """Which learning curves there are, in the order of the tables."""

    datasets: list[str]
    models: list[str]
    strategies: list[str]
    rounds: int
    """The last round."""


class ActiveTabulateSpec(CurvesSpec):
    """The spec of the step `active_tabulate`."""

    confidence: float
    seeds: list[int]
    missing: list[MissingRound]


class Curves(NamedTuple):
    """The test scores of one strategy with one model: of n pairs of a seed and a test image, in R rounds from 0 on."""

    units: pd.MultiIndex
    """(n,): UNITS."""
    labelled: NDArray[np.float64]
    """(R,): labelled images of each round; NaN if it is missing in all seeds."""
    scores: Mapping[str, NDArray[np.float64]]
    """(n, R) by metric; NaN where the round is missing or the score undefined."""


Cells = Mapping[tuple[str, str, str], Curves]
"""By dataset, model and strategy."""


def read_rounds(paths: Sequence[Path]) -> pd.DataFrame:
    """The rows of all `images.csv` files of rounds. Raises UserError if a file is damaged (`open_csv`)."""
    texts = dict.fromkeys([*CELL, "image_id", "patient_id"], str)
    # A model may be called `nan`, and so is an undefined score.
    undefined = {name: ["nan"] for name in ROUND_SCORES}
    files = []
    for path in paths:
        with open_csv(path) as file:
            files.append(pd.read_csv(file, usecols=COLUMNS, dtype=texts, keep_default_na=False, na_values=undefined))  # type: ignore[arg-type]
    return pd.concat(files, ignore_index=True) if files else pd.DataFrame(columns=COLUMNS)


def curves(rows: pd.DataFrame, spec: CurvesSpec) -> Cells:
    """The curves of all cells in the order of the ids, from the rows of all `images.csv`; round 0 is in each."""
    of_rounds = dict(list(rows.groupby(CELL, sort=False)))
    result = {}
    for dataset in spec["datasets"]:
        for model in spec["models"]:
            for strategy in spec["strategies"]:
                own = [of_rounds.get((dataset, model, name), rows[:0]) for name in (START, strategy)]
                result[dataset, model, strategy] = _curves(pd.concat(own), spec["rounds"])
    return result


def _curves(rows: pd.DataFrame, last: int) -> Curves:
    rounds = range(last + 1)
    labelled = rows.groupby("round")["images"].first().reindex(rounds).to_numpy(dtype=np.float64)
    wide = rows.pivot(index=UNITS, columns="round", values=list(ROUND_SCORES))
    wide = wide.reindex(columns=pd.MultiIndex.from_product([ROUND_SCORES, rounds]))
    return Curves(wide.index, labelled, {name: wide[name].to_numpy(dtype=np.float64) for name in ROUND_SCORES})


def learning(cells: Cells, confidence: float) -> pd.DataFrame:
    """`active_learning.csv`: a row per cell, metric and round with any score."""
    rows = []
    for cell, own in cells.items():
        for metric in ROUND_SCORES:
            for round_, values in enumerate(own.scores[metric].T):
                mean = two_way(values, _units(own.units), confidence=confidence, scale=METRICS[metric].scale)
                if mean.n_images:
                    labelled = int(own.labelled[round_])
                    interval = mean.estimate, mean.ci_low, mean.ci_high
                    rows.append([*cell, metric, round_, labelled, *interval, *_extent(mean).values()])
    return pd.DataFrame(rows, columns=LEARNING)


def of_seeds(cells: Cells) -> pd.DataFrame:
    """`active_seeds.csv`: a row per cell, seed, metric and round with any score: its mean over the images."""
    rows = []
    for cell, own in cells.items():
        seeds = own.units.get_level_values("seed")
        for metric in ROUND_SCORES:
            means = pd.DataFrame(own.scores[metric]).groupby(seeds).mean()
            rows += [
                [*cell, seed, metric, round_, int(own.labelled[round_]), mean]
                for (seed, round_), mean in means.stack().dropna().items()
            ]
    return pd.DataFrame(rows, columns=SEEDS)


def areas(own: Curves, metric: str) -> pd.Series:
    """The area under each curve over ascending numbers of labelled images, divided by their range; indexed by units.

    A constant curve gives its value. NaN if a number is NaN or there is only one point.
    """
    if len(own.labelled) < 2:
        return pd.Series(np.nan, index=own.units)
    span = own.labelled[-1] - own.labelled[0]
    return pd.Series(np.trapezoid(own.scores[metric], own.labelled, axis=1) / span, index=own.units)


def summary(cells: Cells, confidence: float) -> pd.DataFrame:
    """`active_summary.csv`: a row per cell and metric.

    `p_holm` is corrected for all comparisons with `random` of one dataset in one metric, but for those whose difference
    is 0 on every image, which are no tests.
    """
    rows = []
    for cell, own in cells.items():
        random = cells.get((*cell[:2], RANDOM))
        for metric in STRATEGIES_COMPARED:
            role = "primary" if metric == STRATEGIES_COMPARED[0] else "secondary"
            row: dict[str, Any] = dict(zip([*CELL, "metric", "role"], [*cell, metric, role], strict=True))
            area = two_way(areas(own, metric), _units(own.units), confidence=confidence, scale=METRICS[metric].scale)
            row |= _interval("aubc", area) | _extent(area)
            if random is not None:
                row |= _interval("gain", _gain(random, metric, confidence))
            if random is not None and cell[-1] != RANDOM:
                row |= _difference(areas(own, metric) - areas(random, metric), confidence)
            rows.append(row)
    result = pd.DataFrame(rows, columns=SUMMARY)
    result["p_holm"] = result.groupby(["dataset", "metric"], sort=False)["p_holm"].transform(holm)
    result["verdict"] = [_verdict(row, 1 - confidence) for row in result.to_dict("records")]
    return result


def _difference(of_units: pd.Series, confidence: float) -> dict[str, Any]:
    """The columns of a comparison with `random`, from differences of areas; `p_holm` is p before the correction."""
    defined = of_units.dropna()
    difference = two_way(defined, _units(defined.index), confidence=confidence)
    p = {"p": difference.p, "p_holm": np.nan if difference.estimate == difference.se == 0 else difference.p}
    return _interval("difference", difference) | p | {"detectable": difference.detectable} | _extent(difference)


def _gain(random: Curves, metric: str, confidence: float) -> Estimate:
    """By how much the last round of a strategy is better than its first."""
    sign = 1 if METRICS[metric].higher_is_better else -1
    scores = random.scores[metric]
    return two_way(sign * (scores[:, -1] - scores[:, 0]), _units(random.units), confidence=confidence)


def _verdict(row: Mapping[str, Any], level: float) -> str:
    """What the comparison with `random` shows, at a level after Holm's correction; empty without a comparison."""
    if np.isnan(row["difference"]):
        return ""
    if row["n_seeds"] < 2:
        return "these networks only"
    better = (row["difference"] > 0) == METRICS[row["metric"]].higher_is_better
    if row["p_holm"] <= level and not better:
        return "worse"
    if not row["gain_low"] > 0:
        return "uninformative"
    return "better" if row["p_holm"] <= level else "undecided"


def _units(index: pd.MultiIndex) -> Units:
    seeds, images, patients = index.codes
    return Units(images=images, patients=patients, seeds=seeds)


def _interval(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.estimate, f"{name}_low": estimate.ci_low, f"{name}_high": estimate.ci_high}


def _extent(estimate: Estimate) -> dict[str, Any]:
    """What an estimate is about, and how much data it is from."""
    return {"scope": estimate.scope, **{name: getattr(estimate, name) for name in COUNTS}}

"""The tables of active learning, from the `scores.csv` of all rounds.

A learning curve is one seed's test scores against the number of labelled images. Its area, divided by the range of
images, is the mean score over the budget (AUBC; trapezoids, as in nnActive, Lüth et al. 2025). Strategies are compared
with `random` seed by seed, as they share the initial labelled set, the first network and the initial weights. With one
seed there are no intervals and no tests: these fields are empty. Rounds may be missing because a job failed. Then the
curve has no area, because the remaining rounds would be another budget, and tests use the seeds that have both scores.
"""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from segunc.cells import START
from segunc.data.result_csv import open_csv
from segunc.evaluation.seed_statistics import mean_over_seeds
from segunc.evaluation.statistics import holm
from segunc.metrics.registry import METRICS, ROUND_SCORES, STRATEGIES_COMPARED

RANDOM = "random"
"""The strategy that all others are compared with."""
ALPHA = 0.05
"""Level of the tests behind the penalty."""
CELL = ["dataset", "model", "strategy"]
ROUND = [*CELL, "seed", "round"]
SCORES = ["images", *ROUND_SCORES, "foreground", "disagreement", "patients", "groups"]
SCORES += ["picked_foreground", "picked_disagreement", "picked_patients", "picked_groups"]
"""The columns of `scores.csv` after those of ROUND."""
SUMMARY = [*CELL, "metric", "aubc", "aubc_low", "aubc_high", "n_seeds"]
SUMMARY += ["difference", "difference_low", "difference_high", "p", "n_pairs"]


class MissingRound(TypedDict):
    """A round whose scores are missing."""

    dataset: str
    model: str
    strategy: str
    seed: int
    round: int
    why: str


class ActiveTabulateSpec(TypedDict):
    """The spec of the step `active_tabulate`."""

    confidence: float
    datasets: list[str]
    models: list[str]
    strategies: list[str]
    seeds: list[int]
    rounds: int
    """The last round."""
    missing: list[MissingRound]


def learning(
    paths: Sequence[Path],
    datasets: Sequence[str],
    models: Sequence[str],
    strategies: Sequence[str],
    seeds: Sequence[int],
    rounds: int,
) -> pd.DataFrame:
    """The rows of all files, in the order of the ids, then seeds and rounds; round 0 is repeated for each strategy.

    A round without a file has a row as well, with NaN for all SCORES; `active_learning.csv` leaves it out.
    """
    # As text first: a model may be called `nan`, and so is an undefined score.
    files = []
    for path in paths:
        with open_csv(path) as file:
            files.append(pd.read_csv(file, usecols=[*ROUND, *SCORES], dtype=str, keep_default_na=False))
    scores = pd.concat([pd.DataFrame(columns=[*ROUND, *SCORES], dtype=str), *files], ignore_index=True)
    for name in scores.columns.difference(CELL):
        scores[name] = pd.to_numeric(scores[name].mask(scores[name] == "nan"))
    start = scores["strategy"] == START
    repeated = [scores[start].assign(strategy=strategy) for strategy in strategies]
    grid = pd.MultiIndex.from_product([datasets, models, strategies, sorted(seeds), range(rounds + 1)], names=ROUND)
    return pd.concat([*repeated, scores[~start]]).set_index(ROUND).reindex(grid).reset_index()


def area(images: ArrayLike, scores: ArrayLike) -> float:
    """Area under the curve of scores over ascending numbers of images, (R,) each, divided by the range of images.

    A constant curve gives its value. NaN if a number is NaN or there is only one point.

    >>> area([20, 30, 40], [4, 2, 1])
    2.25
    """
    x, y = np.asarray(images, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    return float(np.trapezoid(y, x) / (x[-1] - x[0])) if len(x) > 1 else float("nan")


def areas(table: pd.DataFrame) -> pd.DataFrame:
    """`area` of each curve of `learning`: a row per dataset, model, strategy, seed; a column per metric."""
    curves = dict(list(table.groupby([*CELL, "seed"], sort=False)))
    return pd.DataFrame(
        [[area(curve["images"], curve[metric]) for metric in STRATEGIES_COMPARED] for curve in curves.values()],
        index=pd.MultiIndex.from_tuples(curves, names=[*CELL, "seed"]),
        columns=list(STRATEGIES_COMPARED),
    )


def summary(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """`active_summary.csv`, from `learning`: a row per dataset, model, strategy and metric.

    `p_holm` is corrected for all comparisons with `random` of one dataset in one metric.
    """
    cells = {cell: curves.droplevel([*CELL]) for cell, curves in areas(table).groupby(level=CELL, sort=False)}
    rows = []
    for cell, curves in cells.items():
        baseline = (*cell[:2], RANDOM)
        for metric in STRATEGIES_COMPARED:
            mean = mean_over_seeds(curves[metric], confidence)
            row = [*cell, metric, mean.mean, mean.low, mean.high, mean.n]
            if baseline != cell and baseline in cells:
                row += mean_over_seeds(curves[metric] - cells[baseline][metric], confidence)
            rows.append(dict(zip(SUMMARY, row, strict=False)))
    result = pd.DataFrame(rows, columns=SUMMARY).astype({"n_pairs": "Int64"})
    family = result.groupby(["dataset", "metric"], sort=False)["p"]
    result.insert(SUMMARY.index("p") + 1, "p_holm", family.transform(holm))
    return result


def penalty(table: pd.DataFrame) -> pd.DataFrame:
    """`pairwise_penalty.csv`, from `learning`: how often one strategy is significantly worse than another.

    After Ash et al. 2020 (BADGE): each model and round from 1 on is a comparison, by a two-sided t-test paired by seed
    at level ALPHA, without correction. `penalty` is the share of comparisons in which a is worse than b; a comparison
    needs at least two seeds.
    """
    rounds = table[table["round"] > 0]
    strategies = list(dict.fromkeys(table["strategy"]))
    rows = []
    for dataset in dict.fromkeys(table["dataset"]):
        for metric in STRATEGIES_COMPARED:
            scores = rounds[rounds["dataset"] == dataset].pivot(
                index=["model", "round", "seed"], columns="strategy", values=metric
            )
            for a, b in permutations(strategies, 2):
                loss = (scores[b] - scores[a]) * (1 if METRICS[metric].higher_is_better else -1)
                tests = [mean_over_seeds(seeds, 1 - ALPHA) for _, seeds in loss.groupby(level=["model", "round"])]
                tests = [test for test in tests if test.n > 1]
                worse = sum(test.mean > 0 and test.p < ALPHA for test in tests)
                share = worse / len(tests) if tests else float("nan")
                rows.append((dataset, metric, a, b, share, len(tests)))
    return pd.DataFrame(rows, columns=["dataset", "metric", "strategy_a", "strategy_b", "penalty", "n_comparisons"])

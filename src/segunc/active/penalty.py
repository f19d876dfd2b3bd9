"""How often one strategy is significantly worse than another, after Ash et al. 2020 (BADGE), section 5.

Each model and round from 1 on is a comparison of the seeds' mean test scores, by a two-sided t-test paired by seed at
level ALPHA, without correction. With many comparisons, some strategies look worse than others by chance alone. So the
table has the 95 % point of its largest cell if no strategy differs from another: the names of the strategies are
shuffled within each seed, in the same way for all its models and rounds, which keeps the dependence between these.
"""

from itertools import permutations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from segunc.active.tables import Cells
from segunc.metrics.registry import METRICS, STRATEGIES_COMPARED

ALPHA = 0.05
"""Level of the tests."""
SEEDS = 5
"""Fewest seeds of a comparison: with fewer, the largest cell is often 0.3 by chance."""
SHUFFLES = 1000
COLUMNS = ["dataset", "metric", "strategy_a", "strategy_b", "penalty", "null_95", "n_comparisons"]


def penalty(cells: Cells) -> pd.DataFrame:
    """`pairwise_penalty.csv`: the share of comparisons in which strategy a is worse than b; no rows below SEEDS seeds.

    `null_95` is the 95 % point of the largest share among the strategies of the dataset if none differs.
    """
    datasets, strategies = (list(dict.fromkeys(cell[i] for cell in cells)) for i in (0, 2))
    rows = []
    for dataset in datasets:
        for metric in STRATEGIES_COMPARED:
            losses = _losses(cells, dataset, metric, strategies)
            if losses.shape[1] < SEEDS:
                continue
            shares, tests = _worse(losses)
            rng = np.random.default_rng(0)
            largest = [np.nanmax(_worse(_shuffled(losses, rng))[0], initial=0) for _ in range(SHUFFLES)]
            null = float(np.quantile(largest, 0.95))
            for a, b in permutations(range(len(strategies)), 2):
                rows.append([dataset, metric, strategies[a], strategies[b], shares[a, b], null, tests[a, b]])
    return pd.DataFrame(rows, columns=COLUMNS)


def _losses(cells: Cells, dataset: str, metric: str, strategies: list[str]) -> NDArray[np.float64]:
    """Means over the test images, higher is worse: (models x rounds, seeds, strategies), NaN where missing."""
    sign = -1 if METRICS[metric].higher_is_better else 1
    means = {
        cell[1:]: pd.DataFrame(sign * own.scores[metric][:, 1:], index=own.units).groupby(level="seed").mean()
        for cell, own in cells.items()
        if cell[0] == dataset
    }
    models = dict.fromkeys(model for model, _ in means)
    seeds = sorted(set().union(*(mean.index for mean in means.values())))
    of_models = [
        np.stack([means[model, strategy].reindex(seeds).to_numpy().T for strategy in strategies], axis=-1)
        for model in models
    ]
    return np.concatenate(of_models)


def _shuffled(losses: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    order = rng.permuted(np.tile(np.arange(losses.shape[2]), (losses.shape[1], 1)), axis=1)
    return np.take_along_axis(losses, order[None], axis=2)


def _worse(losses: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Share of tests in which the first strategy is worse than the second, and number of tests; (K, K) each."""
    difference = losses[:, :, :, None] - losses[:, :, None, :]
    n = (~np.isnan(difference)).sum(axis=1)
    critical = stdtrit(np.arange(losses.shape[1]), 1 - ALPHA / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(difference, axis=1) / n
        sd = np.sqrt(np.nansum((difference - mean[:, None]) ** 2, axis=1) / (n - 1))
        # Equal differences in all seeds leave no doubt.
        worse = (mean > 0) & (mean * np.sqrt(n) > sd * critical[n - 1])
        tested = n >= SEEDS
        return (worse & tested).sum(axis=0) / tested.sum(axis=0), tested.sum(axis=0)

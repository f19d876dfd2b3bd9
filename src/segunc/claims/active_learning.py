"""Claims about active learning: uncertainty sampling gains nothing over random (6), and what it picks (7).

Each function returns the parts of a claim on one dataset, one for each model.
"""

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from segunc.active.tables import RANDOM, areas
from segunc.claims.study import Study, mean, share_below, statistic
from segunc.claims.verdicts import CONFIDENCE, Part
from segunc.evaluation.statistics import POWER, Estimate
from segunc.metrics.registry import METRICS


def no_gain_in_cross_entropy(study: Study) -> list[Part]:
    """Claim 6, in the primary metric."""
    estimand = "share by which uncertainty sampling lowers the area under random's curve of cross-entropy"
    return _no_gain(study, "6", "cross_entropy", 0.05, estimand)


def no_gain_in_dice(study: Study) -> list[Part]:
    """Claim 6, in a secondary metric."""
    estimand = "area under the curve of Dice (cut chosen on validation images) minus random's"
    return _no_gain(study, "6_dice", "dice_cut", 0.03, estimand)


def _no_gain(study: Study, name: str, metric: str, margin: float, estimand: str) -> list[Part]:
    """An advantage below the margin; one above 0 contradicts it, even if it is below the margin.

    Uninformative unless `random` gets better from its first round to its last: where labels do not help, no strategy
    can.
    """
    higher_is_better = METRICS[metric].higher_is_better
    parts = []
    for model in study.learners:
        note, estimate, informative = _absence(study, model), None, True
        if not note:
            chosen, random = (study.curves[model, strategy] for strategy in (study.uncertainty, RANDOM))
            its, reference = areas(chosen, metric), areas(random, metric)
            estimate = mean(its - reference) if higher_is_better else statistic(share_below, its, reference)
            growth = random.scores[metric][:, -1] - random.scores[metric][:, 0]
            gain = mean(pd.Series(growth if higher_is_better else -growth, index=random.units))
            informative = not (gain and gain.ci_low <= 0)
            note = "" if informative else "random does not get better with more labels"
            note = note if estimate else "no complete curves"
        part = Part(name, (model,), estimand, margin, estimate, above=False, refuted_at=0.0)
        parts.append(part._replace(informative=informative, note=note))
    return parts


def disputed_picks(study: Study) -> list[Part]:
    """Claim 7: picks are disputed, by pixels and relative to what anybody marks (size alone moves the first)."""
    return [
        *_picks(study, "7i", "disputed_pixels", 1.25, "pixels on which annotators differ: picks / pool"),
        *_picks(study, "7ii", "disputed_share", 0.05, "share of disputed among marked pixels: picks minus pool"),
    ]


def large_picks(study: Study) -> list[Part]:
    """Claim 7: picks have much foreground."""
    return _picks(study, "7iii", "foreground", 1.25, "share of foreground: picks / pool")


def split_picks(study: Study) -> list[Part]:
    """Claim 7: some annotators mark something on the picks, and some nothing."""
    return _picks(study, "7iv", "split_votes", 0.05, "share of images that only some annotators mark: picks minus pool")


def _picks(study: Study, name: str, measure: str, margin: float, estimand: str) -> list[Part]:
    """A margin above 1 is one of the ratio, else of the difference."""
    parts = []
    for model in study.learners:
        note = _absence(study, model)
        own = (study.picks["model"] == model) & (study.picks["strategy"] == study.uncertainty)
        rows = study.picks[own & (study.picks["measure"] == measure)]
        estimate = None if note else against_pool(rows, ratio=margin > 1)
        if not note and not estimate:
            note = "no picks" if rows.empty else "one annotator per image"
        parts.append(Part(name, (model,), estimand, margin, estimate, note=note))
    return parts


def _absence(study: Study, model: str) -> str:
    if not study.uncertainty:
        return "no uncertainty sampling"
    if (model, RANDOM) not in study.curves:
        return "no random sampling"
    return ""


def against_pool(rows: pd.DataFrame, ratio: bool) -> Estimate | None:
    """What picks have more than the pool: per seed the mean over rounds, then the mean over seeds.

    The variance is that of random picks from the same pools, or that between seeds if it is larger: seeds differ in
    their first labels and networks, and picks that are alike in all of them are no proof for others. Degrees of
    freedom are Satterthwaite's. None if the measure is undefined, or 0 in the pool if a ratio is asked for.

    Parameters
    ----------
    rows
        `PICKS` of one model, strategy and measure, for each seed and round.
    ratio
        Whether to divide by the pool's value or to subtract it.

    Examples
    --------
    >>> rows = pd.DataFrame({"seed": [0, 0, 1, 1], "picks": [3.0, 5, 4, 4], "pool": [2.0] * 4, "null_sd": [0.4] * 4})
    >>> estimate = against_pool(rows.assign(n_picks=10), ratio=True)
    >>> estimate.estimate, round(estimate.se, 3), round(estimate.ci_low, 2), round(estimate.ci_high, 2)
    (2.0, 0.1, 1.8, 2.2)
    """
    of_seeds = rows.assign(variance=rows["null_sd"] ** 2).groupby("seed")
    picks, pool = of_seeds["picks"].mean(), of_seeds["pool"].mean()
    null_variance = of_seeds["variance"].sum() / of_seeds.size() ** 2
    values = picks / pool.where(pool > 0) if ratio else picks - pool
    values = values.dropna()
    if values.empty:
        return None
    n = len(values)
    at_random = float((null_variance / pool**2 if ratio else null_variance).loc[values.index].sum()) / n**2
    between = max(0.0, float(values.var()) / n - at_random) if n > 1 else 0.0
    se = float(np.sqrt(at_random + between))
    df = (n - 1) * (se**2 / between) ** 2 if between else np.inf
    estimate, quantile = float(values.mean()), float(stdtrit(df, (1 + CONFIDENCE) / 2))
    detectable = (quantile + float(stdtrit(df, POWER))) * se
    interval = estimate - quantile * se, estimate + quantile * se
    nan = float("nan")
    return Estimate(estimate, *interval, nan, se, df, detectable, n, int(rows["n_picks"].sum()), 0, nan, 0)

"""What a strategy picks, compared with random picks from the same pool.

A measure of images is averaged over the picks of a round; of patients and of groups, the different ones are counted.
Both are compared with a simple random sample of as many images from the pool, without replacement: its expectation and
its standard deviation are known in closed form, so nothing is drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln

from segunc.active import labelled_set
from segunc.active.round_scores import ROUND
from segunc.data.store import Images, read_split
from segunc.evaluation.annotation_stats import disagreement, disputed_pixels, foreground


def disputed_share(images: Images) -> NDArray[np.float64]:
    """Disputed pixels of each image per pixel that anybody marks; (N,) in [0, 1], NaN with one annotator or no mark."""
    marked = images.masks.any(axis=1).sum(axis=(1, 2))
    return disputed_pixels(images) / np.where(marked > 0, marked, np.nan)


def split_votes(images: Images) -> NDArray[np.float64]:
    """Whether some but not all annotators mark anything on an image; (N,), 0 or 1, NaN with one annotator."""
    annotators = images.annotated.sum(axis=1)
    votes = images.masks.any(axis=(2, 3)).sum(axis=1)
    return np.where(annotators > 1, (votes > 0) & (votes < annotators), np.nan)


AVERAGED: Mapping[str, Callable[[Images], NDArray[np.float64]]] = {
    "disputed_pixels": disputed_pixels,
    "disputed_share": disputed_share,
    "foreground": foreground,
    "split_votes": split_votes,
    "iou_distance": disagreement,
}
"""Measures of images by name, of which the mean over the picks is taken."""
COUNTED = {"patients": "patient_id", "groups": "group_id"}
"""Ids of images by measure, of which the different ones among the picks are counted."""


class Comparison(NamedTuple):
    """A measure of the picks, beside that of as many random picks from the pool."""

    picks: float
    """Mean or count; NaN if it is defined on none of the picks."""
    pool: float
    """Its expectation for random picks."""
    null_sd: float
    """Its standard deviation for random picks."""
    n_picks: int
    """Picks on which it is defined."""


def compare_mean(values: ArrayLike, picked: ArrayLike) -> Comparison:
    """Mean of a measure over the picks; images on which it is undefined count neither as picks nor as pool.

    Parameters
    ----------
    values
        (N,), float: the measure of each image of the pool; NaN where undefined.
    picked
        (N,), bool: which of the images were picked.

    Returns
    -------
    Comparison
        With the standard deviation s sqrt((1 - k / N) / k) of the mean of k of N values, where s is that of the
        values (Cochran 1977, theorem 2.2).

    Examples
    --------
    >>> compare_mean([1.0, 2.0, 3.0], [False, True, True])
    Comparison(picks=2.5, pool=2.0, null_sd=0.408248290463863, n_picks=2)
    """
    array, chosen = np.asarray(values, dtype=np.float64), np.asarray(picked, dtype=bool)
    defined = ~np.isnan(array)
    array, chosen = array[defined], chosen[defined]
    n, k = len(array), int(chosen.sum())
    if k == 0:
        return Comparison(np.nan, float(array.mean()) if n else np.nan, np.nan, 0)
    sd = array.std(ddof=1) if n > 1 else 0.0
    return Comparison(float(array[chosen].mean()), float(array.mean()), float(sd * np.sqrt((1 - k / n) / k)), k)


def compare_count(ids: ArrayLike, picked: ArrayLike) -> Comparison:
    """Number of different ids among the picks, of at least one.

    Parameters
    ----------
    ids
        (N,), of each image of the pool.
    picked
        (N,), bool: which of the images were picked.

    Examples
    --------
    >>> comparison = compare_count(["a", "a", "b"], [True, True, False])
    >>> comparison.picks, round(comparison.pool, 3), round(comparison.null_sd, 3)
    (1.0, 1.667, 0.471)
    """
    names, chosen = np.asarray(ids), np.asarray(picked, dtype=bool)
    n, k = len(names), int(chosen.sum())
    # Ids with equally many images are equally likely to be absent, and there are few different numbers of images.
    sizes, times = np.unique(np.unique(names, return_counts=True)[1], return_counts=True)
    absent = _absent(sizes, n, k)
    both_absent = _absent(sizes[:, None] + sizes, n, k)
    pairs = np.outer(times, times) - np.diag(times)
    variance = (times * absent * (1 - absent)).sum() + (pairs * (both_absent - np.outer(absent, absent))).sum()
    # Rounding may leave less than 0.
    sd = float(np.sqrt(max(variance, 0.0)))
    return Comparison(float(len(np.unique(names[chosen]))), float((times * (1 - absent)).sum()), sd, k)


def _absent(sizes: NDArray[np.int64], n: int, k: int) -> NDArray[np.float64]:
    """Probability that k of n images, picked at random, contain none of so many given ones; at most n are given."""
    left = n - np.minimum(sizes, n)
    # C(left, k) / C(n, k), with C(a, k) = 1 / ((a + 1) B(a - k + 1, k + 1)), which is 0 for a < k.
    return np.exp(betaln(n - k + 1, k + 1) - betaln(np.maximum(left - k + 1, 0), k + 1)) * (n + 1) / (left + 1)


def measure(train: Images) -> pd.DataFrame:
    """The measures and ids of all N training images: a row per image, a column for each of AVERAGED and COUNTED."""
    values = {name: of_images(train) for name, of_images in AVERAGED.items()}
    return pd.DataFrame({**values, **{name: getattr(train, field) for name, field in COUNTED.items()}})


def compare(measures: pd.DataFrame, pool: NDArray[np.bool_], picked: NDArray[np.bool_]) -> dict[str, Comparison]:
    """By measure, from `measure`; pool, picked: (N,), which images could be picked, and which of them were."""
    free, chosen = measures[pool], picked[pool]
    averaged = {name: compare_mean(free[name], chosen) for name in AVERAGED}
    return {**averaged, **{name: compare_count(free[name], chosen) for name in COUNTED}}


def picks(rounds: pd.DataFrame, data: Sequence[Path], labelled: Sequence[Path]) -> pd.DataFrame:
    """`active_picks.csv`: a row per round from 1 on and measure.

    Parameters
    ----------
    rounds
        ROUND of each round.
    data
        The store of each dataset in `rounds`, in the order of appearance.
    labelled
        The `labelled.csv` of each round.
    """
    stores = dict(zip(dict.fromkeys(rounds["dataset"]), data, strict=True))
    rows = []
    paths = pd.Series(labelled, index=rounds.index, dtype=object)
    for (dataset, seed), of_seed in rounds.groupby(["dataset", "seed"], sort=False):
        train = read_split(stores[dataset], "train", seed)
        measures = measure(train)
        for round_ in of_seed[of_seed["round"] > 0].itertuples():
            positions, when = labelled_set.read(paths[round_.Index], train.image_id)
            pool, picked = np.ones(len(train.image_id), bool), np.zeros(len(train.image_id), bool)
            pool[positions[when < round_.round]] = False
            picked[positions[when == round_.round]] = True
            for name, comparison in compare(measures, pool, picked).items():
                rows.append([*(getattr(round_, field) for field in ROUND), name, *comparison])
    return pd.DataFrame(rows, columns=[*ROUND, "measure", *Comparison._fields])

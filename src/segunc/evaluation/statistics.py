"""Means, differences and other statistics with intervals that hold for new patients and for new trainings.

Scores vary for two reasons: other patients would have been tested, and another training of the same method would have
ended with another network. Images of one patient are similar, and the images that one network predicts share its luck,
so values are in clusters of two kinds. The variance of their mean is, as in two-way clustering (Cameron, Gelbach and
Miller 2011, J. Bus. Econ. Stat. 29:238), the sum of both:

    V = V_patients + max(0, V_seeds - V_shared)

- V_patients: sum of d_p^2 over patients, where d_p is how far the mean moves without patient p, times the root of
  (P - 1) / P of a seed's P patients: a delete-one jackknife, which is right for few clusters of unequal size (CR3; Bell
  and McCaffrey 2002, Survey Methodology 28:169). Degrees of freedom: the effective number of patients, 1 / sum(h_p^2),
  minus 1, where h_p is the patient's share of a seed's images, averaged over seeds (Kish 1965).
- V_seeds: variance of the values of the S seeds, divided by S. Degrees of freedom: S - 1.
- V_shared: the part of V_seeds that is there because seeds test other patients (folds). V_patients contains it already.
  With h_sp, the share in seed s, it is sum of ((h_sp - h_p) d_p / h_p)^2 over seeds and patients, divided by S (S - 1):
  0 if all seeds test the same patients, and V_patients if no two seeds test the same.

What a network does on a single patient by chance is in both parts, which errs on the safe side.

The degrees of freedom of V are the harmonic mean of both, weighted by their parts of V. Satterthwaite (1946) weights by
squares, and covers 0.92 instead of 0.95 with three seeds. There is no resampling. docs/statistics.md has the coverage.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, stdtr, stdtrit

__all__ = ["Estimate", "Scale", "Units", "holm", "two_way", "two_way_statistic"]

Scale = Literal["identity", "log", "logit"]
"""On which scale an interval is symmetric: `log` for positive values, `logit` for values between 0 and 1."""

METHOD, NETWORKS = "method", "these networks"
"""What an interval may be about."""
POWER = 0.8
"""At which a smallest detectable difference is detected."""
LEAST_PATIENTS, LEAST_DF = 6, 4
"""Below them, there is no interval: 5 patients cover 0.82 instead of 0.95, even if values are normal."""


class Units(NamedTuple):
    """What each value belongs to."""

    images: ArrayLike
    """(N,): ids of images."""
    patients: ArrayLike
    """(N,): ids of patients."""
    seeds: ArrayLike
    """(N,): ids of trainings. All have the same weight, whatever their number of images."""


class Estimate(NamedTuple):
    """An estimate with its interval and test."""

    estimate: float
    """Mean over seeds. NaN if it is defined for none."""
    ci_low: float
    ci_high: float
    """NaN below 6 patients or 4 degrees of freedom of patients. With one seed, it holds for this network only."""
    p: float
    """Two-sided, against the null; in [0, 1]. NaN where there is no interval, or if the null is not on the scale."""
    se: float
    """Standard error, on the scale."""
    df: float
    """Degrees of freedom of Student's t."""
    detectable: float
    """The smallest difference from the null that is found with power 0.8; NaN unless the scale is `identity`."""
    n_seeds: int
    n_images: int
    n_patients: int
    """Seeds, images and patients with a defined value."""
    effective_patients: float
    """1 / sum(share^2) of the patients' shares of images: their number if all have equally many. NaN if there are
    none."""
    n_undefined: int
    """Images whose value is undefined in every seed."""

    @property
    def scope(self) -> str:
        """What the interval is about; with one seed, nothing is known about other trainings. Empty without seeds."""
        return METHOD if self.n_seeds > 1 else NETWORKS if self.n_seeds else ""


def two_way(
    values: ArrayLike, units: Units, *, confidence: float, scale: Scale = "identity", null: float = 0.0
) -> Estimate:
    """Mean of `values`: over the images of a seed, then over seeds. For a difference, pass values paired by image.

    Parameters
    ----------
    values
        (N,), float, one per seed and image; NaN where undefined (left out).
    units
        Image, patient and seed of each value, in any order.
    confidence
        Level of the interval, in (0, 1).
    scale
        On which the interval is made, by the delta method: symmetric around the transformed mean, and transformed back.
    null
        What p tests against, on the scale of the values.

    Examples
    --------
    Patients of 2, 1 and 3 images are too few for an interval:

    >>> units = Units(images=range(6), patients=list("aabccc"), seeds=[0] * 6)
    >>> result = two_way([1, 3, 5, 2, 4, 6], units, confidence=0.95)
    >>> round(result.estimate, 3), round(result.se**2, 6), round(result.df, 3), result.ci_low
    (3.5, 0.601667, 1.571, nan)

    >>> units = Units(images=[*range(8)] * 2, patients=[*range(8)] * 2, seeds=[0] * 8 + [1] * 8)
    >>> values = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 9]
    >>> result = two_way(values, units, confidence=0.95)
    >>> [round(value, 2) for value in result[:4]]
    [4.56, 2.41, 6.72, 0.0]
    """
    array = np.asarray(values, dtype=np.float64)
    defined = ~np.isnan(array)
    clusters = _clusters(units, defined)
    sums, counts = clusters.table(array[defined]), clusters.table()
    totals, images = sums.sum(axis=1, keepdims=True), counts.sum(axis=1, keepdims=True)
    without = (totals - sums) / np.maximum(images - counts, 1)
    return _estimate((totals / images)[:, 0], without, clusters, confidence, scale, null)


def two_way_statistic(
    statistic: Callable[[NDArray[np.int64]], float],
    units: Units,
    *,
    confidence: float,
    scale: Scale = "identity",
    null: float = 0.0,
) -> Estimate:
    """A statistic of all images of a seed, such as the area under a curve: its mean over seeds.

    The jackknife computes it once per seed and patient, without the images of that patient.

    Parameters
    ----------
    statistic
        Computes it from rows, ascending indices into the units, of one seed. A seed for which it is NaN is left out.
    units
        Image, patient and seed of each row.
    confidence, scale, null
        As for `two_way`.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.arange(8.0)
    >>> units = Units(images=range(8), patients=range(8), seeds=[0] * 8)
    >>> by_statistic = two_way_statistic(lambda rows: values[rows].mean(), units, confidence=0.95)
    >>> by_mean = two_way(values, units, confidence=0.95)
    >>> np.allclose(by_statistic, by_mean)
    True
    """
    seeds = np.asarray(units.seeds)
    names, index = np.unique(seeds, return_inverse=True)
    of_seeds = np.array([statistic(np.flatnonzero(seeds == name)) for name in names], dtype=np.float64)
    defined = ~np.isnan(of_seeds)
    rows = np.flatnonzero(defined[index])
    clusters = _clusters(units, defined[index])
    of_seeds = of_seeds[defined]
    without = np.repeat(of_seeds[:, None], clusters.shape[1], axis=1)
    for s, p in np.argwhere(clusters.table() > 0):
        left = rows[(clusters.seed == s) & (clusters.patient != p)]
        if len(left):
            without[s, p] = statistic(left)
    return _estimate(of_seeds, without, clusters, confidence, scale, null)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """p-values adjusted for multiple tests by Holm's step-down method (Holm 1979).

    Parameters
    ----------
    p_values
        (K,), float in [0, 1]; NaN means that there is no test: it stays NaN and does not count.

    Returns
    -------
    NDArray
        (K,), float64 in [0, 1], in the order given.

    Examples
    --------
    >>> holm([0.01, float("nan"), 0.04]).tolist()
    [0.02, nan, 0.04]
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full_like(p, np.nan)
    tests = np.flatnonzero(~np.isnan(p))
    ascending = tests[np.argsort(p[tests], kind="stable")]
    factors = np.arange(len(ascending), 0, -1)
    adjusted[ascending] = np.minimum(1, np.maximum.accumulate(factors * p[ascending]))
    return adjusted


class _Clusters(NamedTuple):
    """Seeds and patients of the defined values, as numbers from 0."""

    seed: NDArray[np.int64]
    patient: NDArray[np.int64]
    """(N,) both."""
    shape: tuple[int, int]
    """(S, P): numbers of seeds and of patients."""
    n_images: int
    n_undefined: int

    def table(self, values: NDArray | None = None) -> NDArray[np.float64]:
        """(S, P): sums of the values, (N,), by seed and patient; without values, the number of images."""
        cells = np.ravel_multi_index((self.seed, self.patient), self.shape)
        return np.bincount(cells, values, minlength=self.shape[0] * self.shape[1]).reshape(self.shape).astype(float)


def _clusters(units: Units, defined: NDArray[np.bool_]) -> _Clusters:
    images, patients, seeds = (np.asarray(of_unit) for of_unit in units)
    seed_names, seed = np.unique(seeds[defined], return_inverse=True)
    patient_names, patient = np.unique(patients[defined], return_inverse=True)
    n_images = len(np.unique(images[defined]))
    n_undefined = len(np.unique(images)) - n_images
    return _Clusters(seed, patient, (len(seed_names), len(patient_names)), n_images, n_undefined)


def _estimate(
    of_seeds: NDArray[np.float64],
    without: NDArray[np.float64],
    clusters: _Clusters,
    confidence: float,
    scale: Scale,
    null: float,
) -> Estimate:
    """The estimate from the values of seeds, (S,), and those without each patient, (S, P)."""
    nan = float("nan")
    n_seeds, n_patients = clusters.shape
    if not n_seeds:
        return Estimate(*[nan] * 7, 0, 0, 0, nan, clusters.n_undefined)  # type: ignore[arg-type,call-arg]
    counts = clusters.table()
    shares = counts / counts.sum(axis=1, keepdims=True)
    effective = _effective(shares)
    estimate = float(of_seeds.mean())
    counted = (n_seeds, clusters.n_images, n_patients, effective, clusters.n_undefined)
    variance, df = _variance(of_seeds, without, shares) if n_patients > 1 else (nan, nan)
    transform, slope, back = _SCALES[scale]
    with np.errstate(divide="ignore", invalid="ignore"):
        se = float(np.sqrt(variance) * slope(estimate)) if variance else 0.0
        centre, distance = transform(estimate), abs(transform(estimate) - transform(null))
    if n_patients < LEAST_PATIENTS or effective - 1 < LEAST_DF:
        return Estimate(estimate, nan, nan, nan, se, df, nan, *counted)
    if not se:
        return Estimate(estimate, estimate, estimate, float(estimate == null), se, df, 0.0, *counted)
    quantile, power = (float(stdtrit(df, level)) for level in ((1 + confidence) / 2, POWER))
    low, high = (float(back(centre + side * quantile * se)) for side in (-1, 1))
    p = 2 * float(stdtr(df, -distance / se)) if np.isfinite(distance) else nan
    detectable = (quantile + power) * se if scale == "identity" else nan
    return Estimate(estimate, low, high, p, se, df, detectable, *counted)


def _effective(shares: NDArray[np.float64]) -> float:
    """Effective number of patients; shares: of each patient in the images of each seed, (S, P)."""
    return 1 / float((shares.mean(axis=0) ** 2).sum())


def _variance(
    of_seeds: NDArray[np.float64], without: NDArray[np.float64], shares: NDArray[np.float64]
) -> tuple[float, float]:
    """V and its degrees of freedom, as in the docstring of the module."""
    share = shares.mean(axis=0)
    df_patients = _effective(shares) - 1
    n_seeds, n_patients = len(of_seeds), (shares > 0).sum(axis=1, keepdims=True)
    # A patient who is alone in a seed cannot be left out of it.
    moved = np.where((shares > 0) & (shares < 1), of_seeds[:, None] - without, 0)
    moved = (np.sqrt((n_patients - 1) / n_patients) * moved).mean(axis=0)
    patients = float((moved**2).sum())
    if n_seeds == 1:
        return patients, df_patients
    seeds = float(of_seeds.var(ddof=1)) / n_seeds
    shared = float((((shares - share) * moved / share) ** 2).sum()) / (n_seeds * (n_seeds - 1))
    if seeds <= shared:
        return patients, df_patients
    variance = patients + seeds - shared
    return variance, variance / (max(patients - shared, 0) / df_patients + seeds / (n_seeds - 1))


_SCALES: dict[Scale, tuple[Callable, Callable, Callable]] = {
    "identity": (lambda x: x, lambda x: 1.0, lambda x: x),
    "log": (np.log, lambda x: np.divide(1, x), np.exp),
    "logit": (logit, lambda x: np.divide(1, x * (1 - x)), expit),
}
"""Transform, its derivative, and its inverse."""

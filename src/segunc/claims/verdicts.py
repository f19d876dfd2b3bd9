"""Verdicts on claims that were fixed before the run: a quantity lies above a margin, or below it.

A claim may have several parts, such as one per model. It is supported if all its parts are, each at LEVEL (an
intersection-union test, Berger 1982, needs no correction), and contradicted if one of its parts is, by Holm's method at
LEVEL.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

from segunc.evaluation.statistics import Estimate, holm

__all__ = ["CONFIDENCE", "Part", "of_claim", "of_part", "p_value"]

LEVEL = 0.05
"""Two-sided. It belongs to the claims, not to the config, as the margins do."""
CONFIDENCE = 1 - LEVEL

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
UNDECIDED = "undecided"
UNINFORMATIVE = "uninformative"
THESE_NETWORKS = "these networks only"
NOT_IN_THIS_RUN = "not in this run"
JUDGED = (SUPPORTED, CONTRADICTED, UNDECIDED)


class Part(NamedTuple):
    """One inequality of a claim."""

    name: str
    models: tuple[str, ...]
    """Of whose scores the quantity is made."""
    estimand: str
    """What the quantity is, in words, with its unit."""
    margin: float
    estimate: Estimate | None
    """Of the quantity, with an interval at CONFIDENCE; None if the run has no data for it."""
    above: bool = True
    """Whether the claim is that the quantity lies above the margin, or below it."""
    refuted_at: float | None = None
    """The part is contradicted if the interval lies on the wrong side of this value; None: of the margin."""
    needed: bool = True
    """Whether the claim needs it for support; else it can only contradict the claim."""
    informative: bool = True
    """Whether the experiment could have shown an effect at all (assay sensitivity)."""
    too_few: bool = False
    """Whether the run has all that the claim is about, but the quantity is defined on no image, or in one seed only."""
    note: str = ""
    """Why the run cannot judge it, if so."""

    @property
    def limit(self) -> float:
        """`refuted_at`, or the margin."""
        return self.margin if self.refuted_at is None else self.refuted_at


def of_part(part: Part) -> str:
    """The verdict on a part; where too few images define it, it is undecided.

    An interval beyond `refuted_at` contradicts the part even if it is within the margin.

    >>> from segunc.evaluation.statistics import Units, two_way
    >>> patients = np.arange(8).repeat(2)
    >>> units = Units(images=np.arange(16), patients=patients, seeds=np.tile([0, 1], 8))
    >>> values = 0.5 + 0.01 * np.sin(np.arange(16))
    >>> part = Part("a", ("unet",), "an example", 0.2, two_way(values, units, confidence=CONFIDENCE))
    >>> of_part(part), of_part(part._replace(margin=0.7)), of_part(part._replace(margin=0.5))
    ('supported', 'contradicted', 'undecided')
    """
    estimate = part.estimate
    if part.too_few:
        return UNDECIDED
    if estimate is None:
        return NOT_IN_THIS_RUN
    if estimate.n_seeds < 2:
        return THESE_NETWORKS
    if not part.informative:
        return UNINFORMATIVE
    if estimate.ci_high < part.limit if part.above else estimate.ci_low > part.limit:
        return CONTRADICTED
    if estimate.ci_low > part.margin if part.above else estimate.ci_high < part.margin:
        return SUPPORTED
    return UNDECIDED


def of_claim(parts: Sequence[Part]) -> str:
    """The verdict on a claim of these parts; without any that it needs, there is none in this run.

    >>> nothing = Part("a", ("unet",), "an example", 0.0, None)
    >>> of_claim([nothing])
    'not in this run'
    """
    verdicts = [of_part(part) for part in parts]
    judged = [part for part, verdict in zip(parts, verdicts, strict=True) if verdict in JUDGED and part.estimate]
    refutations = list(map(_refutation, judged))
    if refutations and np.nanmin([1.0, *holm(refutations)]) < LEVEL:
        return CONTRADICTED
    needed = {verdict for part, verdict in zip(parts, verdicts, strict=True) if part.needed} or {NOT_IN_THIS_RUN}
    # A part that the run cannot judge keeps the claim from being supported, whatever the others say.
    for verdict in (NOT_IN_THIS_RUN, THESE_NETWORKS):
        if verdict in needed:
            return verdict
    return needed.pop() if needed in ({SUPPORTED}, {UNINFORMATIVE}) else UNDECIDED


def p_value(estimate: Estimate, null: float) -> float:
    """Two-sided p of an estimate on the scale `identity` against `null`; NaN without an interval.

    >>> from segunc.evaluation.statistics import Units, two_way
    >>> units = Units(images=np.arange(8), patients=np.arange(8), seeds=np.zeros(8))
    >>> estimate = two_way(np.arange(8), units, confidence=CONFIDENCE)
    >>> round(p_value(estimate, 0.0), 4) == round(estimate.p, 4)
    True
    """
    if np.isnan(estimate.ci_low):
        return float("nan")
    if not estimate.se:
        return float(estimate.estimate == null)
    return 2 * float(stdtr(estimate.df, -abs(estimate.estimate - null) / estimate.se))


def _refutation(part: Part) -> float:
    """p against the part's limit if the estimate is on the wrong side of it, else 1."""
    assert part.estimate is not None
    wrong = part.estimate.estimate < part.limit if part.above else part.estimate.estimate > part.limit
    return p_value(part.estimate, part.limit) if wrong else 1.0

"""The rules by which parts and claims get their verdicts."""

from math import isnan, nan

import numpy as np
import pytest

from segunc.claims.verdicts import Part, of_claim, of_part, p_value
from segunc.evaluation.statistics import Estimate, Units, two_way


def estimate(low: float, high: float, seeds: int = 5, df: float = 1e9) -> Estimate:
    """An estimate with this interval, of so many degrees of freedom that it is normal."""
    se = (high - low) / 2 / 1.959964
    return Estimate((low + high) / 2, low, high, nan, se, df, nan, seeds, 100, 20, 15.0, 0)


def part(low: float, high: float, margin: float = 0.0, **more) -> Part:
    return Part("a", ("unet",), "an example", margin, estimate(low, high), **more)


NONE = Part("a", ("unet",), "an example", 0.0, None)


@pytest.mark.parametrize(
    ("low", "high", "above", "expected"),
    [
        (0.1, 0.3, True, "supported"),
        (-0.1, 0.3, True, "undecided"),
        (-0.3, -0.1, True, "contradicted"),
        (0.1, 0.3, False, "contradicted"),
        (-0.1, 0.3, False, "undecided"),
        (-0.3, -0.1, False, "supported"),
        (0.0, 0.0, True, "undecided"),
    ],
)
def test_a_part_lies_beyond_its_margin_or_not(low: float, high: float, above: bool, expected: str) -> None:
    for margin in (0.0, 0.7):
        assert of_part(part(low + margin, high + margin, margin, above=above)) == expected
        # One part is a claim, with the same verdict.
        assert of_claim([part(low + margin, high + margin, margin, above=above)]) == expected


def test_an_advantage_below_the_margin_contradicts_that_there_is_none() -> None:
    for low, high, expected in ((-0.1, 0.04, "supported"), (0.01, 0.04, "contradicted"), (-0.01, 0.06, "undecided")):
        assert of_part(part(low, high, 0.05, above=False, refuted_at=0.0)) == expected
        assert of_claim([part(low, high, 0.05, above=False, refuted_at=0.0)]) == expected


def test_what_cannot_be_judged() -> None:
    assert of_part(NONE) == of_claim([NONE]) == of_claim([]) == "not in this run"
    one_seed = part(0.1, 0.3)._replace(estimate=estimate(0.1, 0.3, seeds=1))
    assert of_part(one_seed) == of_claim([one_seed]) == "these networks only"
    vain = part(0.1, 0.3, informative=False)
    assert of_part(vain) == of_claim([vain, vain]) == "uninformative"
    few_patients = part(nan, nan)
    assert of_part(few_patients) == of_claim([few_patients]) == "undecided"


def test_a_claim_needs_all_its_parts() -> None:
    yes, open_ = part(0.1, 0.3), part(-0.1, 0.3)
    assert of_claim([yes, yes, yes]) == "supported"
    assert of_claim([yes, yes, open_]) == "undecided"
    assert of_claim([yes, NONE]) == "not in this run"
    undefined = NONE._replace(too_few=True)
    assert of_part(undefined) == of_claim([yes, undefined]) == "undecided"
    assert of_claim([yes, yes._replace(informative=False)]) == "undecided"
    # What it does not need keeps it from nothing, but can contradict it.
    assert of_claim([yes, open_._replace(needed=False), NONE._replace(needed=False)]) == "supported"
    assert of_claim([yes, part(-0.3, -0.1, needed=False)]) == "contradicted"


def test_one_contradicted_part_is_enough_if_it_stands_among_all() -> None:
    """Holm: p = 0.01 stands among 4 parts, and not among 6."""
    against = part(-2.576 - 1.96, -2.576 + 1.96)
    assert p_value(against.estimate, 0.0) == pytest.approx(0.01, abs=1e-4)
    assert of_part(against) == "contradicted"
    yes = part(0.1, 0.3)
    assert of_claim([against, *[yes] * 3]) == "contradicted"
    assert of_claim([against, *[yes] * 5]) == "undecided"
    # Even where another part cannot be judged; that one is no test, and does not count.
    assert of_claim([against, *[NONE] * 9]) == "contradicted"


def test_p_is_that_of_the_estimate() -> None:
    rng = np.random.default_rng(0)
    units = Units(
        images=np.tile(np.arange(60), 3), patients=np.tile(np.arange(60) // 3, 3), seeds=np.arange(3).repeat(60)
    )
    values = rng.normal(0.3, 1, 180)
    for null in (-0.5, 0.0, 0.3, 1.0):
        own = two_way(values, units, confidence=0.95, null=null)
        assert p_value(own, null) == pytest.approx(own.p)
    constant = two_way(np.ones(180), units, confidence=0.95)
    assert p_value(constant, 1.0) == 1 and p_value(constant, 0.0) == 0
    assert isnan(p_value(two_way(values[:3], Units(*(np.asarray(of)[:3] for of in units)), confidence=0.95), 0.0))

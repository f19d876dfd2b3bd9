import numpy as np
import pytest
from helpers import definitions
from hypothesis import given, settings
from hypothesis import strategies as st

from segunc.metrics.ranking import augrc, aurc, e_aurc

images = st.lists(
    st.tuples(st.sampled_from([0, 0.25, 0.5, 1]), st.sampled_from([-1, 0, 0.5, 7])), min_size=1, max_size=6
)


def test_values_by_hand():
    risk, uncertainty = np.array([0, 1, 0, 1]), -np.array([0.9, 0.8, 0.7, 0.6])
    assert aurc(risk, uncertainty) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert augrc(risk, uncertainty) == 0.1875
    assert e_aurc(risk, uncertainty) == pytest.approx(1 / 8)
    assert (aurc(risk, np.zeros(4)), augrc(risk, np.zeros(4))) == (1 / 2, 1 / 4)


@settings(max_examples=40, deadline=None)
@given(images)
def test_both_are_expectations_over_the_orders_of_ties(values):
    risk, uncertainty = (np.array(column, float) for column in zip(*values, strict=True))
    expected = definitions.risk_coverage(risk, uncertainty)
    assert (aurc(risk, uncertainty), augrc(risk, uncertainty)) == pytest.approx([float(e) for e in expected])


@settings(max_examples=40, deadline=None)
@given(images)
def test_chance_and_the_best_possible(values):
    risk, uncertainty = (np.array(column, float) for column in zip(*values, strict=True))
    constant = np.full(len(risk), 0.3)
    assert aurc(risk, constant) == pytest.approx(risk.mean())
    assert augrc(risk, constant) == pytest.approx(risk.mean() / 2)
    assert e_aurc(risk, uncertainty) >= -1e-12 and e_aurc(risk, risk) == 0
    assert augrc(risk, risk) <= augrc(risk, uncertainty) + 1e-12
    assert aurc(risk, 3 * uncertainty + 1) == aurc(risk, uncertainty)


@pytest.mark.parametrize("measure", [aurc, e_aurc, augrc])
def test_an_undefined_value_has_no_rank(measure):
    with pytest.raises(ValueError, match="NaN"):
        measure(np.array([0, 1.0]), np.array([np.nan, 1]))
    with pytest.raises(ValueError, match="NaN"):
        measure(np.array([np.nan, 1]), np.array([0, 1.0]))

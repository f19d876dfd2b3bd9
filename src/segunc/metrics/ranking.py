"""Uncertainty of images against their risk: whether the images kept by a threshold of uncertainty have good masks.

Risk and uncertainty are vectors over the test images of one model, such as 1 - Dice and an aggregation of entropy. The
lower the areas, the better. An uncertainty without information, such as a constant, has the area under the
risk-coverage curve `risk.mean()`, and half of it under the generalised one. The best possible areas are those of
`uncertainty=risk`.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["augrc", "aurc", "e_aurc", "risk_coverage"]


def risk_coverage(risk: NDArray, uncertainty: NDArray) -> NDArray[np.float64]:
    """Mean risk of the 1 to N least uncertain images: the risk-coverage curve (Geifman and El-Yaniv 2017).

    Equal uncertainties are in random order, of which this is the expectation.

    Parameters
    ----------
    risk
        (N,), float in [0, 1], N >= 1.
    uncertainty
        (N,), float. Any monotone transformation gives the same.

    Returns
    -------
    NDArray
        (N,), float64 in [0, 1]: at a coverage of 1 / N to 1.

    Raises
    ------
    ValueError
        If a value is NaN.

    Examples
    --------
    >>> risk_coverage(np.array([0, 1, 1, 0]), np.array([0.1, 0.2, 0.3, 0.4])).round(2).tolist()
    [0.0, 0.5, 0.67, 0.5]
    """
    accepted = _accepted(risk, uncertainty)
    return accepted / np.arange(1, len(accepted) + 1)


def aurc(risk: NDArray, uncertainty: NDArray) -> float:
    """Area under the risk-coverage curve (Geifman and El-Yaniv 2017).

    The mean of `risk_coverage`.

    Parameters
    ----------
    risk, uncertainty
        As in `risk_coverage`.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> risk = np.array([0, 1, 0, 1])
    >>> round(aurc(risk, np.array([0.1, 0.2, 0.3, 0.4])), 6), aurc(risk, np.zeros(4))
    (0.333333, 0.5)
    """
    return float(risk_coverage(risk, uncertainty).mean())


def e_aurc(risk: NDArray, uncertainty: NDArray) -> float:
    """Excess of `aurc` over the best possible (Geifman et al. 2019).

    Parameters
    ----------
    risk, uncertainty
        As in `risk_coverage`.

    Returns
    -------
    float
        In [0, 1]; 0 if images are in the order of their risk.

    Examples
    --------
    >>> round(e_aurc(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4])), 6)
    0.125
    """
    return aurc(risk, uncertainty) - aurc(risk, risk)


def augrc(risk: NDArray, uncertainty: NDArray) -> float:
    """Area under the generalised risk-coverage curve (Traub et al. 2024, arXiv:2407.01032; as in fd-shifts).

    The curve is the sum of the accepted risks / N over the coverage, from (0, 0), linear within equal uncertainties.

    Parameters
    ----------
    risk, uncertainty
        As in `risk_coverage`.

    Returns
    -------
    float
        In [0, 1/2].

    Examples
    --------
    >>> risk = np.array([0, 1, 0, 1])
    >>> augrc(risk, np.array([0.1, 0.2, 0.3, 0.4])), augrc(risk, np.zeros(4))
    (0.1875, 0.25)
    """
    accepted = np.concatenate([[0], _accepted(risk, uncertainty)])
    return float(np.trapezoid(accepted) / (len(accepted) - 1) ** 2)


def _accepted(risk: NDArray, uncertainty: NDArray) -> NDArray[np.float64]:
    """(N,): expected sum of the risks of the 1 to N least uncertain images."""
    if np.isnan(risk).any() or np.isnan(uncertainty).any():
        raise ValueError("a risk or an uncertainty is NaN")
    _, block, size = np.unique(uncertainty, return_inverse=True, return_counts=True)
    mean_risk = np.bincount(block, risk) / size
    return np.repeat(mean_risk, size).cumsum()

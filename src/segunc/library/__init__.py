"""The stable surface for other programs: measures on arrays whose inputs are checked, and results of a run as arrays.

`segunc` has the same names; docs/library.md describes them. Nothing in the workflow imports this package.
"""

from segunc.library.measures import (
    brier,
    cross_entropy,
    dice,
    diversity,
    ece,
    entropy,
    error_auroc,
    expected_entropy,
    ged,
    hm_iou,
    iou,
    mutual_information,
    ncc,
    predictive_entropy,
)
from segunc.library.results import Results, load
from segunc.runtime.errors import UserError

__all__ = [
    "Results",
    "UserError",
    "brier",
    "cross_entropy",
    "dice",
    "diversity",
    "ece",
    "entropy",
    "error_auroc",
    "expected_entropy",
    "ged",
    "hm_iou",
    "iou",
    "load",
    "mutual_information",
    "ncc",
    "predictive_entropy",
]

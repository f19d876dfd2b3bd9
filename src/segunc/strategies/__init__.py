"""Acquisition strategies of active learning, one file each.

A file `<method>.py` has one constant and one entry function:

    NEEDS = "nothing" | "uncertainty" | "features" | "annotations"
    pick(pool: Pool, k: int, rng: np.random.Generator, *, <options>) -> NDArray[np.int64]

`pick` returns k different positions in the pool, integers (k,), each in [0, N). Ties are broken by `rng` alone, never
by the order of the images; equal `rng` give equal picks. Its keyword-only arguments are the strategy's options in the
config. Each round calls it twice and checks what it returns (`segunc.active.acquisition`): a broken contract ends the
job with one sentence.

NEEDS states which fields of the pool the strategy reads besides ids. `uncertainty` and `features` are predictions of
the previous round's model, so each round waits for a training run; `nothing` and `annotations` need no model.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Needs = Literal["nothing", "uncertainty", "features", "annotations"]
"""Values of NEEDS."""


class Pool(NamedTuple):
    """The images that may be picked: the N images of the training split that are not among the L labelled ones."""

    group_id: NDArray[np.str_]
    """(N,): the nodule or lesion."""
    patient_id: NDArray[np.str_]
    """(N,)"""
    labelled_group_id: NDArray[np.str_]
    """(L,): those of the labelled images."""
    labelled_patient_id: NDArray[np.str_]
    """(L,)"""
    predictive_entropy: NDArray[np.float32] | None = None
    """(N, H, W) in bits, at least 0, for `uncertainty`."""
    mutual_information: NDArray[np.float32] | None = None
    """(N, H, W) in bits, at least 0, for `uncertainty`."""
    features: NDArray[np.float32] | None = None
    """(N, F): those of the model (`features` of `segunc.models`), for `features`."""
    labelled_features: NDArray[np.float32] | None = None
    """(L, F): those of the labelled images, for `features`."""
    foreground: NDArray[np.float64] | None = None
    """(N,) in [0, 1]: fraction of foreground pixels over the existing annotators, for `annotations`."""
    disagreement: NDArray[np.float64] | None = None
    """(N,) in [0, 1]: mean IoU distance between two different annotators (0 with one annotator), for `annotations`."""
    disputed_pixels: NDArray[np.float64] | None = None
    """(N,): pixels that some but not all annotators mark (0 with one annotator), for `annotations`."""


def highest(scores: NDArray, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions (k,) of the k highest of the scores (N,), highest first; equal scores in random order.

    >>> highest(np.array([0.1, 0.9, 0.5]), 2, np.random.default_rng(0)).tolist()
    [1, 2]
    """
    return np.lexsort((rng.permutation(len(scores)), -scores))[:k]

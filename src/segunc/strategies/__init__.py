"""Acquisition strategies of active learning, one file each.

A file `<method>.py` has a constant and one entry function

    NEEDS = "nothing" | "uncertainty" | "features" | "annotations"
    pick(pool: Pool, k: int, rng: np.random.Generator, *, <options>) -> NDArray[np.int64]

`pick` returns k different positions in the pool; ties are broken by `rng` alone, never by the order of the files. NEEDS
says which part of the pool beside its ids it reads: `uncertainty` and `features` come from the network of the round
before, so that the next round waits for it; `nothing` and `annotations` do not.
Keyword-only arguments are the strategy's options in the config.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Pool(NamedTuple):
    """The images that may be picked: the training split without what is labelled; N images, L labelled ones."""

    group_id: NDArray[np.str_]
    """(N,): the nodule or lesion."""
    patient_id: NDArray[np.str_]
    """(N,)"""
    labelled_group_id: NDArray[np.str_]
    """(L,): those of the labelled images."""
    labelled_patient_id: NDArray[np.str_]
    """(L,)"""
    predictive_entropy: NDArray[np.float32] | None = None
    """(N, H, W) in bits, for `uncertainty`."""
    mutual_information: NDArray[np.float32] | None = None
    """(N, H, W) in bits, for `uncertainty`."""
    features: NDArray[np.float32] | None = None
    """(N, F): pooled bottleneck features, for `features`."""
    labelled_features: NDArray[np.float32] | None = None
    """(L, F): those of the labelled images, for `features`."""
    foreground: NDArray[np.float64] | None = None
    """(N,): share of foreground pixels over the existing annotators, for `annotations`."""
    disagreement: NDArray[np.float64] | None = None
    """(N,): mean IoU distance between two different annotators (0 with one annotator), for `annotations`."""


def highest(scores: NDArray, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of the k highest of the scores (N,), highest first; equal scores in random order."""
    return np.lexsort((rng.permutation(len(scores)), -scores))[:k]

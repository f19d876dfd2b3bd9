"""`patient_random`: random, but spread evenly over patients, and over the nodules or lesions of each patient.

Neighbouring slices of one nodule are near-duplicates, which uniform sampling selects repeatedly. A minimal diversity
baseline that needs neither annotations nor a model: stratified sampling. No published source.
"""

import numpy as np
from numpy.typing import NDArray

from segunc.strategies import Pool

NEEDS = "nothing"


def pick(pool: Pool, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """k positions, each from the patient, and there from the group, with the fewest labelled or picked images.

    Ties between patients, then between groups, then between images are broken at random.
    """
    patient, patients = _counts(pool.patient_id, pool.labelled_patient_id)
    group, groups = _counts(pool.group_id, pool.labelled_group_id)
    patient_rank, group_rank = rng.permutation(len(patients))[patient], rng.permutation(len(groups))[group]
    left = rng.permutation(len(patient))
    picked = []
    for _ in range(k):
        keys = (group_rank[left], groups[group[left]], patient_rank[left], patients[patient[left]])
        first = np.lexsort(keys)[0]
        picked.append(left[first])
        left = np.delete(left, first)
        patients[patient[picked[-1]]] += 1
        groups[group[picked[-1]]] += 1
    return np.array(picked)


def _counts(pool: NDArray[np.str_], labelled: NDArray[np.str_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pool's ids as integers, (N,), and the number of labelled images of each integer, (ids,)."""
    names, numbers = np.unique(np.concatenate([pool, labelled]), return_inverse=True)
    return numbers[: len(pool)], np.bincount(numbers[len(pool) :], minlength=len(names))

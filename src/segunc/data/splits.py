"""Training, validation and test splits by patient: no patient is in two of them."""

from collections.abc import Iterable

import numpy as np

from segunc.runtime.errors import UserError

SPLITS = ("train", "val", "test")


def split_patients(patient_ids: Iterable[str], train: float, val: float, test: float, seed: int) -> dict[str, str]:
    """The split (`train`, `val` or `test`) of every patient.

    `train`, `val` and `test` are shares of the patients and sum to 1. The patients are sorted before they are
    shuffled with `seed`, so neither the order nor the number of their images matters. Every split with a share
    above 0 gets at least one patient; raises UserError if there are too few patients for that.
    """
    patients = sorted(set(patient_ids))
    shares = {"train": train, "val": val, "test": test}
    wanted = [split for split in SPLITS if shares[split] > 0]
    if len(patients) < len(wanted):
        raise UserError(f"{len(patients)} patient(s) cannot be split into {' and '.join(wanted)}; add patients.")
    counts = _counts(len(patients), [shares[split] for split in SPLITS])
    splits = np.repeat(SPLITS, counts)
    order = np.random.default_rng(seed).permutation(len(patients))
    return {patients[patient]: str(split) for patient, split in zip(order, splits, strict=True)}


def _counts(total: int, shares: list[float]) -> list[int]:
    """`total` cut by `shares` with largest remainders, then at least 1 for every share above 0."""
    exact = [total * share for share in shares]
    # Rounded before flooring, because 0.15 * 100 is 15.000000000000002 and 0.7 * 10 may be 6.999999999999999.
    counts = [int(np.floor(round(value, 9))) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda split: counts[split] - exact[split])
    for split in by_remainder[: total - sum(counts)]:
        counts[split] += 1
    for split, share in enumerate(shares):
        if share > 0 and counts[split] == 0:
            counts[int(np.argmax(counts))] -= 1
            counts[split] = 1
    return counts


def check_split(patient_ids: Iterable[str], splits: Iterable[str]) -> None:
    """Raises UserError if a patient is in two splits, or a split is not `train`, `val` or `test`.

    Both arguments have one entry per image.
    """
    seen: dict[str, str] = {}
    for patient, split in zip(patient_ids, splits, strict=True):
        if split not in SPLITS:
            raise UserError(f"patient {patient} has the split '{split}', which is not train, val or test; correct it.")
        if seen.setdefault(patient, split) != split:
            raise UserError(
                f"patient {patient} is in two splits, {seen[patient]} and {split}; "
                "put all images of a patient in one split."
            )

"""Training, validation and test sides, cut between patients and never through one."""

from collections.abc import Iterable

import numpy as np

from segunc.runtime.errors import UserError

SIDES = ("train", "val", "test")


def split_patients(patient_ids: Iterable[str], train: float, val: float, test: float, seed: int) -> dict[str, str]:
    """The side (`train`, `val` or `test`) of every patient.

    `train`, `val` and `test` are shares of the patients and sum to 1. The patients are sorted before they are
    shuffled with `seed`, so neither the order nor the number of their images matters. Every side with a share
    above 0 gets at least one patient; raises UserError if there are too few patients for that.
    """
    patients = sorted(set(patient_ids))
    shares = {"train": train, "val": val, "test": test}
    wanted = [side for side in SIDES if shares[side] > 0]
    if len(patients) < len(wanted):
        raise UserError(f"{len(patients)} patient(s) cannot be split into {' and '.join(wanted)}; add patients.")
    counts = _counts(len(patients), [shares[side] for side in SIDES])
    sides = np.repeat(SIDES, counts)
    order = np.random.default_rng(seed).permutation(len(patients))
    return {patients[patient]: str(side) for patient, side in zip(order, sides, strict=True)}


def _counts(total: int, shares: list[float]) -> list[int]:
    """`total` cut by `shares` with largest remainders, then at least 1 for every share above 0."""
    exact = [total * share for share in shares]
    # Rounded before flooring, because 0.15 * 100 is 15.000000000000002 and 0.7 * 10 may be 6.999999999999999.
    counts = [int(np.floor(round(value, 9))) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda side: counts[side] - exact[side])
    for side in by_remainder[: total - sum(counts)]:
        counts[side] += 1
    for side, share in enumerate(shares):
        if share > 0 and counts[side] == 0:
            counts[int(np.argmax(counts))] -= 1
            counts[side] = 1
    return counts


def check_split(patient_ids: Iterable[str], sides: Iterable[str]) -> None:
    """Raises UserError if a patient is on two sides, or a side is none of `train`, `val` and `test`.

    Both arguments have one entry per image.
    """
    seen: dict[str, str] = {}
    for patient, side in zip(patient_ids, sides, strict=True):
        if side not in SIDES:
            raise UserError(f"patient {patient} is on the side '{side}', but a side is {', '.join(SIDES)}; correct it.")
        if seen.setdefault(patient, side) != side:
            raise UserError(
                f"patient {patient} is on two sides of the split, {seen[patient]} and {side}; "
                "put all images of a patient on one side."
            )

"""Splits and folds by patient: no patient is in two of them."""

from collections.abc import Collection, Iterable

import numpy as np

from segunc.data.store import SPLITS
from segunc.runtime.errors import UserError


def split_patients(
    patient_ids: Iterable[str], train: float, val: float, test: float, seed: int, tied: Iterable[Collection[str]] = ()
) -> dict[str, str]:
    """The split (`train`, `val` or `test`) of every patient.

    `train`, `val` and `test` are shares of the patients and sum to 1. The patients are sorted before they are
    shuffled with `seed`, so neither the order nor the number of their images matters. Patients that are `tied`, because
    they have identical images, get the same split; the shares are then met as well as their numbers permit.

    Every split with a share above 0 gets at least one patient; raises UserError if there are too few patients for that.
    """
    units = _shuffled_units(patient_ids, seed, tied)
    shares = {"train": train, "val": val, "test": test}
    wanted = [split for split in SPLITS if shares[split] > 0]
    if len(units) < len(wanted):
        raise UserError(f"{_counted(units)} cannot be split into {' and '.join(wanted)}; add patients.")
    room = dict(zip(SPLITS, _counts(sum(map(len, units)), [shares[split] for split in SPLITS]), strict=True))
    split_of: dict[str, str] = {}
    empty = [*wanted]
    # While there is room for them. Without ties this fills one split after the other.
    for placed, unit in enumerate(units):
        candidates = empty if len(empty) == len(units) - placed else wanted
        split = next((split for split in candidates if room[split] >= len(unit)), max(candidates, key=room.__getitem__))
        room[split] -= len(unit)
        empty = [other for other in empty if other != split]
        split_of |= dict.fromkeys(unit, split)
    return split_of


def deal_folds(
    patient_ids: Iterable[str], folds: int, seed: int, tied: Iterable[Collection[str]] = ()
) -> dict[str, int]:
    """The fold, in [0, folds), of every patient.

    The patients are shuffled as in `split_patients` and dealt one by one, so that the numbers of patients of two folds
    differ by at most 1. Patients that are `tied` get the same fold, which then may be larger than others. No fold is
    empty; raises UserError if there are too few patients for that.
    """
    units = _shuffled_units(patient_ids, seed, tied)
    if len(units) < folds:
        raise UserError(
            f"{_counted(units)} cannot be dealt into {folds} folds; add patients, or set fewer folds in the dataset's "
            "split."
        )
    fold_of: dict[str, int] = {}
    sizes = [0] * folds
    for unit in units:
        smallest = sizes.index(min(sizes))
        sizes[smallest] += len(unit)
        fold_of |= dict.fromkeys(unit, smallest)
    return fold_of


def _shuffled_units(patient_ids: Iterable[str], seed: int, tied: Iterable[Collection[str]]) -> list[list[str]]:
    """The patients in groups that are tied directly or through others, shuffled, the largest first."""
    unit_of = {patient: {patient} for patient in patient_ids}
    for group in tied:
        merged = set().union(*(unit_of[patient] for patient in group))
        unit_of |= dict.fromkeys(merged, merged)
    units = sorted(sorted(unit) for unit in {id(unit): unit for unit in unit_of.values()}.values())
    shuffled = [units[unit] for unit in np.random.default_rng(seed).permutation(len(units))]
    return sorted(shuffled, key=len, reverse=True)


def _counted(units: list[list[str]]) -> str:
    patients = sum(map(len, units))
    groups = f" in {len(units)} group(s) with identical images" if len(units) < patients else ""
    return f"{patients} patient(s){groups}"


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

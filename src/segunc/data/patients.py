"""The csv that specifies the patient of each image, and maybe its group and its split."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from segunc.data.csv_table import read_table
from segunc.runtime.errors import UserError


class About(NamedTuple):
    """What is known about an image."""

    group_id: str
    patient_id: str
    split: str | None = None


def read_patients(path: Path, images: Collection[str], without_suffix: Callable[[str], str]) -> dict[str, About]:
    """What a csv with the columns image, patient and maybe group and split specifies, by image.

    images: ids of all images; the csv may name them with or without a suffix. A group is one of its patient; without
    it, each image is its own.

    Raises UserError if a row names an image that is not there or was named before, or if an image has no row.
    """
    found: dict[str, About] = {}
    needed = {"image": ["image"], "patient": ["patient"]}
    for line, row in read_table(path, needed, {"group": ["group"], "split": ["split"]}):
        key = row["image"] if row["image"] in images else without_suffix(row["image"])
        if key not in images or key in found:
            problem = "for a second time" if key in found else "which is not there"
            raise UserError(f"line {line} of {path} names the image {row['image']}, {problem}; remove the line.")
        group = f"{row['patient']}/{row['group']}" if row["group"] else key
        found[key] = About(group, row["patient"], row["split"] or None)
    if missing := next((key for key in images if key not in found), None):
        raise UserError(f"{path} has no line for the image {missing}; add one.")
    return found

"""One image, or one patient, under two names: counted and named for `prepare`, so that nobody overlooks them.

Identical images of two patients would leak from training to test; so would a patient whose id is written in two ways.
"""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

NAMED = 3
"""Groups that a remark names, and members of each."""
LONGEST = 60
"""Characters of a name in a remark."""
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that show nothing, besides control and format characters."""


def content(image: NDArray[np.uint8]) -> str:
    """A digest of the pixels (C, H, W); empty if all have the same colour, since such images show nothing."""
    if (image == image[:, :1, :1]).all():
        return ""
    return hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()


def groups_of(keys: Iterable[str]) -> list[list[int]]:
    """Positions of equal keys, for those that occur at least twice; empty keys are left out."""
    found = defaultdict(list)
    for position, key in enumerate(keys):
        if key:
            found[key].append(position)
    return [group for group in found.values() if len(group) > 1]


def identical_images(
    groups: Iterable[Sequence[int]],
    image_ids: Sequence[str],
    patient_ids: Sequence[str],
    parts: Sequence[str] | Sequence[int],
) -> dict[str, int]:
    """The number of images by remark, which names the first of them.

    groups: positions of identical images; the other arguments have one entry per image; parts: its split or fold.
    """
    by_kind = defaultdict(list)
    for group in groups:
        if len({parts[image] for image in group}) > 1:
            kind = "identical to an image in another split"
        elif len({patient_ids[image] for image in group}) > 1:
            kind = "identical to an image of another patient, kept in the same split"
        else:
            kind = "identical to another image of the same patient"
        by_kind[kind].append([image_ids[image] for image in group])
    return {f"{kind} ({_named(found)})": sum(map(len, found)) for kind, found in by_kind.items()}


def similar_patients(patient_ids: Sequence[str]) -> dict[str, int]:
    """The number of images by remark, for patients whose ids differ only in case, width or spaces.

    patient_ids: one per image.
    """
    patients = list(dict.fromkeys(patient_ids))
    groups = [[patients[position] for position in group] for group in groups_of(map(_folded, patients))]
    similar = {patient for group in groups for patient in group}
    remark = f"the patient's id differs from another only in case, width or spaces ({_named(groups)})"
    return {remark: sum(patient in similar for patient in patient_ids)} if groups else {}


def visible(text: str) -> str:
    """The text as it looks: in the normal form NFC, without invisible characters, with single spaces."""
    spaced = INVISIBLE.sub("", " ".join(unicodedata.normalize("NFC", text).split()))
    return "".join(character for character in spaced if unicodedata.category(character) not in ("Cc", "Cf"))


def _folded(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", visible(text)).casefold().split())


def _named(groups: Sequence[Sequence[str]]) -> str:
    return _listed([_listed([*map(_short, group)], ", ") for group in groups], "; ")


def _listed(items: Sequence[str], separator: str) -> str:
    return separator.join([*items[:NAMED], *(["..."] if len(items) > NAMED else [])])


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}...{name[-LONGEST // 2 :]}"

"""LIDC-IDRI as 2D crops with a published split: the release of the Hierarchical Probabilistic U-Net.

`train.tar.gz`, `val.tar.gz` and `test.tar.gz` hold 8,843, 1,993 and 1,980 images of 530, 111 and 103 patients, each as
`<side>/images/<patient>/z-<z>_c<k>.png` and, for each annotator a, `<side>/gt/<patient>/z-<z>_c<k>_l<a>.png`. These are
180x180 pixels of 0.5 mm around a nodule; the authors crop the centre to 128. An empty mask is an annotator's vote for
"nothing here". The annotators are numbered from 0, or from 1 as the release's description says; a number is no person.

`c<k>` is the "crop number of the slice": it tells the nodules of one slice apart and does not name them. Images of a
patient with the same number are mostly slices of one nodule, and are one group here. But two nodules at different
heights may both be `c0`, and a nodule may change its number where another begins.

Kohl et al. 2019, "A Hierarchical Probabilistic U-Net for Modeling Multi-Scale Ambiguities", arXiv:1905.13077.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from segunc.data import decode
from segunc.data.archive import Files, open_files
from segunc.data.splits import SIDES
from segunc.data.store import Dropped, Record
from segunc.runtime.errors import UserError

Key = TypeVar("Key", int, str)

ANNOTATORS = 4
SIDE = rf"(?:.*[/_])?(?P<side>{'|'.join(SIDES)})"
CROP = r"(?P<crop>[^/]+/z[-.\d]+_c\d+)"
ARCHIVE = re.compile(rf"{SIDE}\.(?:tar\.gz|tgz|tar|zip)")
IMAGE = re.compile(rf"(?:{SIDE}/|(?:.*/)?)images/{CROP}\.png")
MASK = re.compile(rf"(?:.*/)?gt/{CROP}_l(?P<annotator>\d)\.png")


def read(
    *,
    crops: Path,  # folder or archive with train.tar.gz, val.tar.gz and test.tar.gz, packed or unpacked
) -> Iterator[Record | Dropped]:
    """Grey crops in natural order of patient and slice, side by side; those that nobody marked are dropped.

    If all three archives are there, what is unpacked beside them is not read. Raises UserError if files are missing,
    damaged or do not fit together.
    """
    with open_files(crops) as files:
        archives: dict[str, str] = {}
        for name in files.names:
            if match := ARCHIVE.fullmatch(name):
                _add(archives, match["side"], name, str(crops))
        if set(archives) != set(SIDES):
            yield from _records(files, str(crops), SIDES)
            return
        for side in SIDES:
            with files.inside(archives[side]) as inside:
                yield from _records(inside, f"{archives[side]} in {crops}", [side])


def _records(files: Files, source: str, sides: Sequence[str]) -> Iterator[Record | Dropped]:
    """The crops of these sides."""
    images, masks = _index(files, source, sides)
    annotators = sorted({annotator for by_annotator in masks.values() for annotator in by_annotator})
    if len(annotators) != ANNOTATORS:
        found = ", ".join(f"_l{annotator}" for annotator in annotators)
        raise UserError(f"{source} has masks {found or '(none)'}, but four annotators are needed; add the others.")
    for key, by_annotator in masks.items():
        if not any(key in images[side] for side in sides):
            name = next(iter(by_annotator.values()))
            raise UserError(f"{name} in {source} is a mask without an image; add the image or remove it.")
    for side in sides:
        for key, name in images[side].items():
            for annotator in annotators:
                if annotator not in masks.get(key, {}):
                    raise UserError(
                        f"{name} in {source} has no mask _l{annotator}; each annotator needs a mask, an empty one if "
                        "they marked nothing."
                    )
            yield _record(files, side, key, name, [masks[key][annotator] for annotator in annotators])


def _index(
    files: Files, source: str, sides: Sequence[str]
) -> tuple[dict[str, dict[str, str]], dict[str, dict[int, str]]]:
    """Names of the images by side and image id, and of the masks by image id and annotator."""
    images: dict[str, dict[str, str]] = {side: {} for side in sides}
    masks: dict[str, dict[int, str]] = {}
    for name in files.names:
        if match := IMAGE.fullmatch(name):
            side = match["side"] or (sides[0] if len(sides) == 1 else None)
            if side not in images:
                raise UserError(f"{name} in {source} is in no folder {' or '.join(sides)}; move it to its side.")
            _add(images[side], match["crop"], name, source)
        elif match := MASK.fullmatch(name):
            _add(masks.setdefault(match["crop"], {}), int(match["annotator"]), name, source)
    for side in sides:
        if not images[side]:
            raise UserError(
                f"{source} has no {side}/images/<patient>/z-<z>_c<k>.png; train.tar.gz, val.tar.gz and test.tar.gz are "
                "all needed, packed or unpacked."
            )
    return images, masks


def _record(files: Files, side: str, key: str, image_name: str, mask_names: list[str]) -> Record | Dropped:
    image = decode.image(files.read(image_name), image_name, channels=1)
    masks = [decode.mask(files.read(name), name, (image.shape[1], image.shape[2])) for name in mask_names]
    if not any(mask.any() for mask in masks):
        return Dropped(key, "nobody marked anything")
    patient, _, crop = key.partition("/")
    number = crop.rpartition("_")[2]
    return Record(image, masks, image_id=key, group_id=f"{patient}/{number}", patient_id=patient, split=side)


def _add(found: dict[Key, str], key: Key, name: str, source: str) -> None:
    if found.setdefault(key, name) != name:
        raise UserError(f"{found[key]} and {name} in {source} have the same id; remove one of them.")

"""Your own data: a folder with `images/` and `masks/`, or a zip or tar of it.

An image's id is its path below `images/` without the suffix: `images/ward-3/p01.png` is `ward-3/p01`. Its masks lie in
`masks/` in one of three ways, the same for all of them; their suffix may be another than the image's:

    masks/<annotator>/<id>.png      any number of annotators
    masks/<id>_<annotator>.png      the same, for names of annotators without `_` or `/`
    masks/<id>.png                  one annotator

Slots are annotators in natural order of their names. An annotator without a mask for an image did not see it; an empty
mask means that they found nothing. An image that nobody annotated is left out.

Pictures are PNG, JPEG, TIFF or BMP, arrays are NPY; `segunc.data.decode` documents how they are read. Paths that have a
part beginning with `.` and documents beside the two folders are ignored; any other file is refused.

A csv specifies the patient of each image, so that all images of a patient are in the same split. Without it, each image
counts as its own patient, which makes results look better than they are if that is not true.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from segunc.catalogue.option_types import Intensity
from segunc.data import decode
from segunc.data.archive import Files, natural, open_files
from segunc.data.patients import About, read_patients
from segunc.data.roles import one_each, refuse_others
from segunc.data.store import Dropped, ImageRecord
from segunc.runtime.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".npy")


def read(
    *,
    data: Path,  # folder, zip or tar with `images` and `masks`
    channels: Literal[1, 3],  # 1: grey images, 3: RGB
    patients: Path | None = None,  # csv with columns image, patient and maybe group, split (train, val or test)
    intensity: Intensity | None = None,  # values for black and white, [low, high] or minmax; null: 8-bit as it is
) -> Iterator[ImageRecord | Dropped]:
    """Images in natural order of their ids.

    A `group` contains the images of one lesion of a patient; without it, each image is its own group.
    Raises UserError if files are missing, damaged or contradict each other.
    """
    with open_files(data) as files:
        images, masks = _index(files, data)
        by_annotator = _assigned(masks, images, data)
        annotators = sorted({annotator for found in by_annotator.values() for annotator in found}, key=natural)
        about = (
            read_patients(patients, images, _without_suffix) if patients else {key: About(key, key) for key in images}
        )
        for key, name in images.items():
            found = by_annotator.get(key)
            if not found:
                yield Dropped(key, "nobody annotated it")
                continue
            image = decode.image(files.read(name), name, channels, intensity)
            shape = (image.shape[1], image.shape[2])
            slots = [decode.mask(files.read(found[a]), found[a], shape) if a in found else None for a in annotators]
            yield ImageRecord(image, slots, image_id=key, **about[key]._asdict())


def _index(files: Files, source: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Names of the images and of the masks, by their path below `images/` and `masks/` without the suffix."""
    found: dict[str, dict[str, list[str]]] = {"images": defaultdict(list), "masks": defaultdict(list)}
    used = set()
    root: tuple[str, ...] | None = None
    for name in files.names:
        parts = PurePosixPath(unicodedata.normalize("NFC", name)).parts
        place = next((place for place, part in enumerate(parts[:-1]) if part in found), None)
        if place is None or any(part.startswith(".") for part in parts):
            continue
        kind, inside = parts[place], PurePosixPath(*parts[place + 1 :])
        root = parts[:place] if root is None else root
        if root != parts[:place]:
            raise UserError(f"{source} has `{kind}` in several places; give the folder that contains both.")
        if inside.suffix.lower() not in SUFFIXES:
            raise UserError(f"{name} in {source} is not one of {' '.join(SUFFIXES)}; convert or remove it.")
        found[kind][_without_suffix(str(inside))].append(name)
        used.add(name)
    for kind, claims in found.items():
        if not claims:
            raise UserError(f"{source} has no {kind}/<id>.png; give the folder or archive with `images` and `masks`.")
    refuse_others(files, used, "images/<id>.png and masks/...", source)
    images, masks = (one_each(files, claims, source) for claims in found.values())
    return {key: images[key] for key in sorted(images, key=natural)}, masks


def _without_suffix(path: str) -> str:
    stem, dot, suffix = path.rpartition(".")
    return stem if dot + suffix.lower() in SUFFIXES else path


def _assigned(masks: dict[str, str], images: dict[str, str], source: Path) -> dict[str, dict[str, str]]:
    """Names of the masks by image id and annotator."""
    found: dict[str, dict[str, str]] = {}
    ways: dict[str, str] = {}
    for path, name in masks.items():
        folder, _, below = path.partition("/")
        stem, _, ending = path.rpartition("_")
        readings = {"<id>": (path, ""), "<annotator>/<id>": (below, folder), "<id>_<annotator>": (stem, ending)}
        fits = {way: reading for way, reading in readings.items() if reading[0] in images and "/" not in reading[1]}
        if not fits:
            raise UserError(f"{name} in {source} is a mask without an image; add the image or remove it.")
        if len(fits) > 1:
            of = " or of ".join(f"{key} (as masks/{way})" for way, (key, _) in fits.items())
            raise UserError(f"{name} in {source} may be a mask of {of}; use masks/<annotator>/<id> for all.")
        [(way, (key, annotator))] = fits.items()
        found.setdefault(key, {})[annotator] = name
        ways.setdefault(way, name)
    if len(ways) > 1:
        listed = " and ".join(f"{name} (masks/{way})" for way, name in ways.items())
        raise UserError(f"{source} names annotators in several ways, as in {listed}; choose one.")
    return found

"""ISIC challenge, task 1: dermoscopic images with lesion outlines (Codella et al. 2019, arXiv:1902.03368).

`ISIC2018_Task1-2_Training_Input/<id>.jpg` and `ISIC2018_Task1_Training_GroundTruth/<id>_segmentation.png`. Outlines by
further annotators may lie beside the first one as `<id>_segmentation_2.png`, `<id>_segmentation_3.png` and so on.
The challenge names no patients, so each image counts as its own.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from segunc.data import decode
from segunc.data.archive import Files, open_files
from segunc.data.store import Record
from segunc.errors import UserError

Key = TypeVar("Key", int, str)

IMAGE = re.compile(r"(?:.*/)?(?P<id>[^/]+)\.(?:jpe?g|png)", re.IGNORECASE)
MASK = re.compile(r"(?:.*/)?(?P<id>[^/]+?)_segmentation(?:_(?P<annotator>[1-9]\d?))?\.png", re.IGNORECASE)
NO_IMAGE = re.compile(r"_(segmentation(_\d+)?|superpixels|attribute_\w+)\.", re.IGNORECASE)


def read(
    *,
    images: Path,  # folder or zip `ISIC2018_Task1-2_Training_Input`
    masks: Path,  # folder or zip `ISIC2018_Task1_Training_GroundTruth`
) -> Iterator[Record]:
    """RGB images in natural order of their ids; an annotator who has no file for an image did not see it.

    Raises UserError if files are missing, damaged or do not fit together.
    """
    with open_files(images) as pictures, open_files(masks) as outlines:
        image_names = _images(pictures, images)
        mask_names = _masks(outlines, masks)
        for key, by_annotator in mask_names.items():
            if key not in image_names:
                name = next(iter(by_annotator.values()))
                raise UserError(f"{name} in {masks} has no image in {images}; add {key}.jpg or remove the mask.")
        for key, name in image_names.items():
            if key not in mask_names:
                raise UserError(f"{name} in {images} has no mask in {masks}; add {key}_segmentation.png.")
            image = decode.image(pictures.read(name), name, channels=3)
            shape = (image.shape[1], image.shape[2])
            by_annotator = mask_names[key]
            slots = [
                decode.mask(outlines.read(by_annotator[slot]), by_annotator[slot], shape)
                if slot in by_annotator
                else None
                for slot in range(max(by_annotator) + 1)
            ]
            yield Record(image, slots, image_id=key, group_id=key, patient_id=key)


def _images(files: Files, source: Path) -> dict[str, str]:
    """Names of the images by image id."""
    found: dict[str, str] = {}
    for name in files.names:
        match = IMAGE.fullmatch(name)
        if match and not NO_IMAGE.search(name):
            _add(found, match["id"], name, source)
    if not found:
        raise UserError(f"{source} has no <id>.jpg; give the folder or zip that has the images.")
    return found


def _masks(files: Files, source: Path) -> dict[str, dict[int, str]]:
    """Names of the masks by image id and annotator slot, from 0."""
    found: dict[str, dict[int, str]] = {}
    for name in files.names:
        if match := MASK.fullmatch(name):
            _add(found.setdefault(match["id"], {}), int(match["annotator"] or 1) - 1, name, source)
    if not found:
        raise UserError(f"{source} has no <id>_segmentation.png; give the folder or zip that has the masks.")
    return found


def _add(found: dict[Key, str], key: Key, name: str, source: Path) -> None:
    if found.setdefault(key, name) != name:
        raise UserError(f"{found[key]} and {name} in {source} have the same id; remove one of them.")

"""ISIC challenge, lesion segmentation of 2016, 2017 and 2018: dermoscopic images with lesion outlines.

    2016  ISBI2016_ISIC_Part1_Training_Data/<id>.jpg  ISBI2016_ISIC_Part1_Training_GroundTruth/<id>_Segmentation.png
    2017  ISIC-2017_Training_Data/<id>.jpg            ISIC-2017_Training_Part1_GroundTruth/<id>_segmentation.png
    2018  ISIC2018_Task1-2_Training_Input/<id>.jpg    ISIC2018_Task1_Training_GroundTruth/<id>_segmentation.png

Superpixels, attributes and documents beside the images are ignored; any other file is refused. Outlines by further
annotators may lie beside the first one as `<id>_segmentation_2.png`, `<id>_segmentation_3.png` and so on. The challenge
names no patients, so each image counts as its own.

With the validation and test parts of 2017 or 2018, the published split is used; 2016 has no validation part.

Gutman et al. 2016, arXiv:1605.01397; Codella et al. 2017, arXiv:1710.05006; Codella et al. 2019, arXiv:1902.03368.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from segunc.data import decode
from segunc.data.archive import Files, open_files
from segunc.data.roles import one_each, refuse_others
from segunc.data.store import ImageRecord
from segunc.runtime.errors import UserError

IMAGE = re.compile(r"(?:.*/)?(?P<id>[^/]+)\.(?:jpe?g|png)", re.IGNORECASE)
MASK = re.compile(r"(?:.*/)?(?P<id>[^/]+?)_segmentation(?:_(?P<annotator>[1-9]\d?))?\.png", re.IGNORECASE)
EXTRA = re.compile(r".*_(superpixels|attribute_\w+)\.png", re.IGNORECASE)
"""Pictures of other tasks of the challenge."""


def read(
    *,
    images: Path,  # folder or archive with the images, such as `ISIC2018_Task1-2_Training_Input`
    masks: Path,  # folder or archive with their masks, such as `ISIC2018_Task1_Training_GroundTruth`
    val_images: Path | None = None,  # the same of the published validation part
    val_masks: Path | None = None,  # its masks
    test_images: Path | None = None,  # the same of the published test part
    test_masks: Path | None = None,  # its masks
) -> Iterator[ImageRecord]:
    """RGB images in natural order of their ids; an annotator who has no file for an image did not see it.

    With all six options, the training part comes first, then validation, then test, and each image has its split.
    Raises UserError if files are missing, damaged or contradict each other.
    """
    published = (val_images, val_masks, test_images, test_masks)
    if not any(published):
        yield from _part(images, masks, None)
        return
    if not (val_images and val_masks and test_images and test_masks):
        raise UserError(
            "the published split needs all of val_images, val_masks, test_images and test_masks; give those that are "
            "missing, or none."
        )
    yield from _part(images, masks, "train")
    yield from _part(val_images, val_masks, "val")
    yield from _part(test_images, test_masks, "test")


def _part(images: Path, masks: Path, split: str | None) -> Iterator[ImageRecord]:
    with open_files(images) as pictures, open_files(masks) as outlines:
        image_names = _images(pictures, images)
        mask_names = _masks(outlines, masks, pictures.names)
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
            yield ImageRecord(image, slots, image_id=key, group_id=key, patient_id=key, split=split)


def _images(files: Files, source: Path) -> dict[str, str]:
    """Names of the images by image id."""
    claims: dict[str, list[str]] = defaultdict(list)
    others = {name for name in files.names if MASK.fullmatch(name) or EXTRA.fullmatch(name)}
    for name in files.names:
        if name not in others and (match := IMAGE.fullmatch(name)):
            claims[match["id"]].append(name)
    if not claims:
        raise UserError(f"{source} has no <id>.jpg; give the folder or zip that has the images.")
    refuse_others(files, others.union(*claims.values()), "<id>.jpg or <id>.png", source)
    return one_each(files, claims, source)


def _masks(files: Files, source: Path, image_names: Collection[str]) -> dict[str, dict[int, str]]:
    """Names of the masks by image id and annotator slot, from 0; the images may lie beside them."""
    claims: dict[tuple[str, int], list[str]] = defaultdict(list)
    images = {PurePosixPath(name).name for name in image_names}
    others = {name for name in files.names if EXTRA.fullmatch(name) or PurePosixPath(name).name in images}
    for name in files.names:
        if match := MASK.fullmatch(name):
            claims[match["id"], int(match["annotator"] or 1) - 1].append(name)
    if not claims:
        raise UserError(f"{source} has no <id>_segmentation.png; give the folder or zip that has the masks.")
    refuse_others(files, others.union(*claims.values()), "<id>_segmentation.png", source)
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for (key, slot), name in one_each(files, claims, source).items():
        found[key][slot] = name
    return found

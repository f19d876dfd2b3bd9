"""LIDC-IDRI as 2D crops with a published split: the release of the Hierarchical Probabilistic U-Net.

`train.tar.gz`, `val.tar.gz` and `test.tar.gz` contain 8,843, 1,993 and 1,980 images of 530, 111 and 103 patients, each
as `<split>/images/<patient>/z-<z>_c<k>.png` and, for each annotator a, `<split>/gt/<patient>/z-<z>_c<k>_l<a>.png`.
These are 180x180 pixels of 0.5 mm around a nodule; the authors crop the centre to 128. An empty mask is an annotator's
vote for "nothing here". The annotators are numbered from 0, or from 1 according to the release's description; a number
does not identify a person.

`c<k>` is the "crop number of the slice": it distinguishes the nodules of one slice, but does not identify them across
slices. Images of a patient with the same number are mostly slices of one nodule, and are one group here. But two
nodules at different heights may both be `c0`, and a nodule may change its number where another begins.

Kohl et al. 2019, "A Hierarchical Probabilistic U-Net for Modeling Multi-Scale Ambiguities", arXiv:1905.13077.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from segunc.data import decode
from segunc.data.archive import Files, open_files
from segunc.data.roles import one_each, refuse_others
from segunc.data.store import SPLITS, Dropped, ImageRecord
from segunc.runtime.errors import UserError

ANNOTATORS = 4
SPLIT = rf"(?:.*[/_])?(?P<split>{'|'.join(SPLITS)})"
CROP = r"(?P<crop>[^/]+/z[-.\d]+_c\d+)"
ARCHIVE = re.compile(rf"{SPLIT}\.(?:tar\.gz|tgz|tar|zip)")
IMAGE = re.compile(rf"(?:{SPLIT}/|(?:.*/)?)images/{CROP}(?i:\.png)")
MASK = re.compile(rf"(?:.*/)?gt/{CROP}_l(?P<annotator>\d)(?i:\.png)")
LAYOUT = "images/<patient>/z-<z>_c<k>.png and gt/<patient>/z-<z>_c<k>_l<a>.png"


def read(
    *,
    crops: Path,  # folder or archive with train.tar.gz, val.tar.gz and test.tar.gz, packed or unpacked
) -> Iterator[ImageRecord | Dropped]:
    """Grey crops by split, then in natural order of patient and slice; those without foreground are dropped.

    If all three archives are there, unpacked copies beside them are not read. Raises UserError if files are missing,
    damaged, have other names or contradict each other.
    """
    with open_files(crops) as files:
        archives: dict[str, str] = {}
        for name in files.names:
            if (match := ARCHIVE.fullmatch(name)) and archives.setdefault(match["split"], name) != name:
                raise UserError(
                    f"{archives[match['split']]} and {name} in {crops} have the same id; remove one of them."
                )
        if set(archives) != set(SPLITS):
            yield from _records(files, str(crops), SPLITS)
            return
        for split in SPLITS:
            with files.inside(archives[split]) as inside:
                yield from _records(inside, f"{archives[split]} in {crops}", [split])


def _records(files: Files, source: str, splits: Sequence[str]) -> Iterator[ImageRecord | Dropped]:
    """The crops of these splits."""
    images, masks = _index(files, source, splits)
    annotators = sorted({annotator for by_annotator in masks.values() for annotator in by_annotator})
    if len(annotators) != ANNOTATORS:
        found = ", ".join(f"_l{annotator}" for annotator in annotators)
        raise UserError(f"{source} has masks {found or '(none)'}, but four annotators are needed; add the others.")
    for key, by_annotator in masks.items():
        if not any(key in images[split] for split in splits):
            name = next(iter(by_annotator.values()))
            raise UserError(f"{name} in {source} is a mask without an image; add the image or remove it.")
    for split in splits:
        for key, name in images[split].items():
            for annotator in annotators:
                if annotator not in masks.get(key, {}):
                    raise UserError(
                        f"{name} in {source} has no mask _l{annotator}; each annotator needs a mask, an empty one if "
                        "they marked nothing."
                    )
            yield _record(files, split, key, name, [masks[key][annotator] for annotator in annotators])


def _index(
    files: Files, source: str, splits: Sequence[str]
) -> tuple[dict[str, dict[str, str]], dict[str, dict[int, str]]]:
    """Names of the images by split and image id, and of the masks by image id and annotator."""
    images: dict[str, dict[str, list[str]]] = {split: defaultdict(list) for split in splits}
    masks: dict[tuple[str, int], list[str]] = defaultdict(list)
    used = set()
    for name in files.names:
        if match := IMAGE.fullmatch(name):
            split = match["split"] or (splits[0] if len(splits) == 1 else None)
            if split not in images:
                raise UserError(
                    f"{name} in {source} is not in a folder {' or '.join(splits)}; move it to that of its split."
                )
            images[split][match["crop"]].append(name)
        elif match := MASK.fullmatch(name):
            masks[match["crop"], int(match["annotator"])].append(name)
        else:
            continue
        used.add(name)
    for split in splits:
        if not images[split]:
            raise UserError(
                f"{source} has no {split}/images/<patient>/z-<z>_c<k>.png; train.tar.gz, val.tar.gz and test.tar.gz "
                "are all needed, packed or unpacked."
            )
    refuse_others(files, used, LAYOUT, source)
    by_crop: dict[str, dict[int, str]] = defaultdict(dict)
    for (crop, annotator), name in one_each(files, masks, source).items():
        by_crop[crop][annotator] = name
    return {split: one_each(files, claims, source) for split, claims in images.items()}, by_crop


def _record(files: Files, split: str, key: str, image_name: str, mask_names: list[str]) -> ImageRecord | Dropped:
    image = decode.image(files.read(image_name), image_name, channels=1)
    masks = [decode.mask(files.read(name), name, (image.shape[1], image.shape[2])) for name in mask_names]
    if not any(mask.any() for mask in masks):
        return Dropped(key, "nobody marked anything")
    patient, _, crop = key.partition("/")
    number = crop.rpartition("_")[2]
    return ImageRecord(image, masks, image_id=key, group_id=f"{patient}/{number}", patient_id=patient, split=split)

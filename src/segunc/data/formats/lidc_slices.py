"""LIDC-IDRI as 2D slices around nodules, in a layout that is widely used.

`LIDC-IDRI-slices/<patient>/nodule-<n>/images/slice-<k>.png` and, for each annotator a, `.../mask-<a>/slice-<k>.png`. An
empty mask is an annotator's vote for "nothing here". The number of an annotator does not identify a person: the first
radiologist of one nodule is not the first one of the next.

Armato et al. 2011, "The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative (IDRI)".
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from segunc.catalogue.option_types import Paths
from segunc.data import decode
from segunc.data.archive import Files, natural, open_files
from segunc.data.roles import one_each, refuse_others
from segunc.data.store import Dropped, ImageRecord
from segunc.runtime.errors import UserError

PATH = re.compile(
    r"(?:.*/)?(?P<patient>[^/]+)/(?P<nodule>nodule-\d+)/(?:images|mask-(?P<annotator>\d{1,2}))/(?P<slice>slice-\d+)"
    r"(?i:\.png)"
)
LAYOUT = "<patient>/nodule-<n>/images/slice-<k>.png and mask-<a>/slice-<k>.png"


def read(
    *,
    slices: Paths,  # folder or zip `LIDC-IDRI-slices`, or several
) -> Iterator[ImageRecord | Dropped]:
    """Grey slices in natural order of patient, nodule and slice; those without foreground are dropped.

    An image that is in several archives counts once if its bytes agree, as do masks.

    Raises UserError if files are missing, damaged, have other names or contradict each other.
    """
    source = slices if isinstance(slices, Path) else " and ".join(map(str, slices))
    with open_files(slices) as files:
        found, masks = _index(files, source)
        images = {key: found[key] for key in sorted(found, key=natural)}
        annotators = sorted({annotator for annotator, _ in masks})
        for key in sorted({key for _, key in masks} - set(images)):
            annotator = next(a for a in annotators if (a, key) in masks)
            raise UserError(
                f"{masks[annotator, key]} in {source} is a mask without an image; add the image or remove it."
            )
        for key, name in images.items():
            for annotator in annotators or [0]:
                if (annotator, key) not in masks:
                    raise UserError(
                        f"{name} in {source} has no mask-{annotator}; each annotator needs a mask, "
                        "an empty one if they marked nothing."
                    )
            yield _record(files, key, name, [masks[annotator, key] for annotator in annotators])


def _index(files: Files, source: Path | str) -> tuple[dict[str, str], dict[tuple[int, str], str]]:
    """Names of the images by image id, and of the masks by annotator and image id."""
    images: dict[str, list[str]] = defaultdict(list)
    masks: dict[tuple[int, str], list[str]] = defaultdict(list)
    used = set()
    for name in files.names:
        if not (match := PATH.fullmatch(name)):
            continue
        used.add(name)
        key = f"{match['patient']}/{match['nodule']}/{match['slice']}"
        if match["annotator"] is None:
            images[key].append(name)
        else:
            masks[int(match["annotator"]), key].append(name)
    if not images:
        raise UserError(
            f"{source} has no <patient>/nodule-<n>/images/slice-<k>.png; give the folder or zip that contains them."
        )
    refuse_others(files, used, LAYOUT, source)
    return one_each(files, images, source), one_each(files, masks, source)


def _record(files: Files, key: str, image_name: str, mask_names: list[str]) -> ImageRecord | Dropped:
    image = decode.image(files.read(image_name), image_name, channels=1)
    masks = [decode.mask(files.read(name), name, (image.shape[1], image.shape[2])) for name in mask_names]
    if not any(mask.any() for mask in masks):
        return Dropped(key, "nobody marked anything")
    group, _, _ = key.rpartition("/")
    patient, _, _ = group.rpartition("/")
    return ImageRecord(image, masks, image_id=key, group_id=group, patient_id=patient)

"""Images of the ISIC archive with masks by several annotators, listed in a csv, as in IMA++.

`images` has `<image id>.jpg`, `masks` the files that the csv lists. Each row of the csv is one mask:

    image_id (or isic_id), annotator, mask_path (or seg_filename)

An annotator without a row for an image did not see it. A second mask by the same annotator is another opinion and has
its own slot. The names MV and ST denote consensus masks, which are not an annotator's opinion and are left out.

The slots are the annotators in natural order of their names, each repeated for the most masks that they made of one
image. With `compact`, an image's masks fill the slots from the first one on, in the same order. Then a slot does not
identify an annotator, but there are only as many slots as an image has masks (5 in IMA++, instead of at least one for
each of its 16 annotators).

A csv specifies which images show the same patient (isic_id, patient_id) or lesion (lesion_id), where that is known;
they are kept in one split. Images of one lesion belong to one patient; otherwise an image is its own patient.

Abhishek et al. 2025, "IMA++: ISIC Archive Multi-Annotator Dermoscopic Skin Lesion Segmentation Dataset",
arXiv:2512.21472.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from segunc.data import decode
from segunc.data.archive import Files, natural, open_files
from segunc.data.csv_table import read_table
from segunc.data.roles import one_each, others, refuse_others
from segunc.data.store import Dropped, ImageRecord
from segunc.runtime.errors import UserError

IMAGE = re.compile(r"(?:.*/)?(?P<id>[^/]+)\.(?:jpe?g|png)", re.IGNORECASE)
CONSENSUS = ("MV", "ST")
"""Annotators of masks that were computed from the others: majority vote and STAPLE."""
IMAGE_ID = ("image_id", "isic_id")

Opinion = tuple[str, int]
"""Annotator, and how many masks of the same image they made before this one."""


def read(
    *,
    images: Path,  # folder or archive with <image id>.jpg
    masks: Path,  # folder or archive with the masks that the csv lists
    annotations: Path,  # csv: image_id, annotator, mask_path
    patients: Path | None = None,  # csv: isic_id, patient_id, lesion_id; without it, each image is its own patient
    compact: bool = False,  # true: fill the slots from the first one on; false: each slot is one annotator
) -> Iterator[ImageRecord | Dropped]:
    """RGB images in natural order of their ids.

    Images without a row, rows without an image and masks without a row are left out and counted.
    Raises UserError if files are missing, damaged or contradict each other.
    """
    with open_files(images) as pictures, open_files(masks) as outlines:
        image_names = _images(pictures, images)
        mask_names, used = _opinions(annotations, outlines, masks)
        if not set(image_names) & set(mask_names):
            raise UserError(
                f"{annotations} lists none of the images in {images}; give a csv and images that belong together."
            )
        slots = _slots(mask_names[key] for key in image_names if key in mask_names)
        about = _patients(patients) if patients else {}
        for key in sorted({*image_names, *mask_names}, key=natural):
            if key not in image_names:
                yield Dropped(key, "the image is not there")
            elif key not in mask_names:
                yield Dropped(key, "nobody annotated it")
            else:
                name = image_names[key]
                image = decode.image(pictures.read(name), name, channels=3)
                shape = (image.shape[1], image.shape[2])
                found = {
                    slot: decode.mask(outlines.read(mask_names[key][slot]), mask_names[key][slot], shape)
                    for slot in slots
                    if slot in mask_names[key]
                }
                patient, lesion = about.get(key, (key, key))
                every = list(found.values()) if compact else [found.get(slot) for slot in slots]
                yield ImageRecord(image, every, image_id=key, group_id=lesion, patient_id=patient)
        beside = {PurePosixPath(name).name for name in pictures.names}
        for name in others(outlines, used):
            if PurePosixPath(name).name not in beside:
                yield Dropped(name, "mask that the csv does not list")


def _images(files: Files, source: Path) -> dict[str, str]:
    """Names of the images by image id."""
    claims: dict[str, list[str]] = defaultdict(list)
    for name in files.names:
        if match := IMAGE.fullmatch(name):
            claims[match["id"]].append(name)
    if not claims:
        raise UserError(f"{source} has no <image id>.jpg; give the folder or archive that has the images.")
    refuse_others(files, set().union(*claims.values()), "<image id>.jpg or <image id>.png", source)
    return one_each(files, claims, source)


def _opinions(annotations: Path, files: Files, source: Path) -> tuple[dict[str, dict[Opinion, str]], set[str]]:
    """Names of the masks by image id and opinion, and those of all that the csv lists, consensus masks too."""
    places: dict[str, list[str]] = defaultdict(list)
    for name in files.names:
        places[PurePosixPath(name).name].append(name)
    found: dict[str, dict[Opinion, str]] = defaultdict(dict)
    seen: dict[str, int] = {}
    used: set[str] = set()
    columns = {"image": IMAGE_ID, "annotator": ("annotator",), "mask": ("mask_path", "seg_filename")}
    for line, row in read_table(annotations, columns):
        fits = [name for name in places[PurePosixPath(row["mask"]).name] if f"/{name}".endswith(f"/{row['mask']}")]
        used.update(fits)
        if row["annotator"] in CONSENSUS:
            continue
        if len(fits) != 1:
            problem = "is not there" if not fits else "is there several times"
            raise UserError(
                f"line {line} of {annotations} names the mask {row['mask']}, which {problem} in {source}; "
                "correct one of them."
            )
        if (before := seen.setdefault(fits[0], line)) != line:
            raise UserError(f"lines {before} and {line} of {annotations} name the same mask; remove one of them.")
        opinions = found[row["image"]]
        opinions[row["annotator"], sum(annotator == row["annotator"] for annotator, _ in opinions)] = fits[0]
    return found, used


def _slots(all_opinions: Iterator[dict[Opinion, str]]) -> list[Opinion]:
    found = {opinion for opinions in all_opinions for opinion in opinions}
    return sorted(found, key=lambda opinion: (natural(opinion[0]), opinion[1]))


def _patients(path: Path) -> dict[str, tuple[str, str]]:
    """Patient and lesion by image id, where at least one of them is known."""
    columns = {"patient": ("patient_id", "patient"), "lesion": ("lesion_id", "lesion")}
    rows = list(read_table(path, {"image": IMAGE_ID}, columns))
    if not any(row["patient"] or row["lesion"] for _, row in rows):
        raise UserError(f"{path} has no patient in a column patient_id; give a csv that has some, or none.")
    of_lesion = {row["lesion"]: row["patient"] for _, row in rows if row["lesion"] and row["patient"]}
    found: dict[str, tuple[str, str]] = {}
    for line, row in rows:
        if row["image"] in found:
            raise UserError(f"line {line} of {path} names the image {row['image']} for a second time; remove the line.")
        patient = row["patient"] or of_lesion.get(row["lesion"]) or row["lesion"] or row["image"]
        found[row["image"]] = patient, row["lesion"] or row["image"]
    return found

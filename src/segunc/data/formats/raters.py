"""Datasets with several raters in the layout of nnU-Net: a folder with `images*/` and `labels*/`, or an archive of it.

    images*/<case>_0000.png        image; `*` is anything, such as `Tr` and `Ts`, and 0000 the modality
    labels*/<case>_<rater>.png     label map of each rater; the name of a rater has no `_`
    labels*/<case>.png             label map of the only rater; of a case with raters it is a consensus, and left out

Slots are raters in natural order of their names. Raters may differ from case to case: a rater without a label map did
not see the case. Label maps of `staple`, `majority` and `consensus` are no raters' and are left out. A case that nobody
rated is left out.

Files are PNG, JPEG, TIFF, BMP, NPY, or NIfTI (`.nii`, `.nii.gz`). A volume is cut into slices along its last axis;
their ids are `<case>/<number>` with numbers from 0, and their group is the case. `segunc.data.decode` and
`segunc.data.nifti` document how files are read.

A csv specifies the patient of each case. Without it, each case counts as its own patient.

Isensee et al. 2021, "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation", Nature
Methods 18:203-211; the layout is that of its version 2.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segunc.catalogue.option_types import Intensity
from segunc.data import decode, nifti
from segunc.data.archive import Files, natural, open_files
from segunc.data.csv_table import read_table
from segunc.data.patients import About, read_patients
from segunc.data.roles import one_each, refuse_others
from segunc.data.store import Dropped, ImageRecord
from segunc.runtime.errors import UserError

SUFFIXES = (*nifti.SUFFIXES, ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".npy")
IMAGE = re.compile(r"(?P<case>.+)_(?P<modality>\d{4})")
CONSENSUS = ("staple", "majority", "consensus")


def read(
    *,
    data: Path,  # folder, zip or tar with `images*` and `labels*`
    channels: Literal[1, 3] = 1,  # 1: grey images, 3: RGB
    modality: int = 0,  # which of the files of a case is its image
    foreground: int | list | None = None,  # number of the foreground in label maps, or several; null: all but 0
    patients: Path | None = None,  # csv with columns image (the case), patient and maybe group, split, raters
    intensity: Intensity | None = None,  # values for black and white, [low, high] or minmax; null: 8-bit as it is
    slices: Literal["annotated", "all"] = "annotated",  # of a volume: those that some rater marked, or all
) -> Iterator[ImageRecord | Dropped]:
    """Images in natural order of their ids.

    The column `raters` of the csv names the raters of a case, separated by spaces, in the order of its label maps;
    without it, they are called as in the file names. With `minmax`, black and white are those of the whole volume.
    Raises UserError if files are missing, damaged or contradict each other.
    """
    wanted = [foreground] if isinstance(foreground, int) else foreground
    if wanted is not None and not (wanted and all(isinstance(number, int) for number in wanted)):
        raise UserError(f"the option foreground is {foreground!r}, but must be a label number or a list of them.")
    with open_files(data) as files:
        images, label_maps = _index(files, modality, data)
        about = read_patients(patients, images, _case_of) if patients else {case: About(case, case) for case in images}
        by_rater = _named(label_maps, patients) if patients else label_maps
        raters = sorted({rater for found in by_rater.values() for rater in found}, key=natural)
        for case, name in images.items():
            found = by_rater.get(case)
            if not found:
                yield Dropped(case, "nobody rated it")
                continue
            volume = _image(files.read(name), name, channels, intensity)
            maps = {rater: _mask(files.read(found[rater]), found[rater], volume, name, wanted) for rater in found}
            for number, image in enumerate(volume.slices):
                masks = [maps[rater][number] if rater in maps else None for rater in raters]
                if volume.affine is None:
                    yield ImageRecord(image, masks, image_id=case, **about[case]._asdict())
                elif slices == "all" or any(mask is not None and mask.any() for mask in masks):
                    of_volume = about[case]._replace(group_id=case)
                    yield ImageRecord(image, masks, image_id=f"{case}/{number:03d}", **of_volume._asdict())


class Slices(NamedTuple):
    """The image of a case."""

    slices: NDArray[np.uint8]
    """(D, C, H, W)"""
    affine: NDArray[np.float64] | None
    """Of a volume; None for a picture, whose D is 1."""


def _image(data: bytes, name: str, channels: int, intensity: Intensity | None) -> Slices:
    if not _is_nifti(name):
        return Slices(decode.image(data, name, channels, intensity)[None], None)
    if channels != 1:
        raise UserError(f"{name} is grey, as all of NIfTI; set the option channels to 1.")
    volume = nifti.read(data, name)
    if intensity is None and volume.slices.dtype != np.uint8:
        raise UserError(
            f"{name} has {volume.slices.dtype} values, but 8-bit grey is needed; set the option intensity, such as "
            "minmax."
        )
    grey = volume.slices if intensity is None else decode.scaled(volume.slices, name, intensity)
    return Slices(grey[:, None], volume.affine)


def _mask(data: bytes, name: str, image: Slices, of: str, foreground: Sequence[int] | None) -> NDArray[np.uint8]:
    """The masks of a label map, (D, H, W)."""
    shape = image.slices.shape
    if not _is_nifti(name):
        if image.affine is not None:
            raise UserError(f"{name} is a picture, but {of} is a volume; save both as NIfTI.")
        values = decode.labels(data, name, (shape[2], shape[3]))[None]
    else:
        if image.affine is None:
            raise UserError(f"{name} is a volume, but {of} is a picture; save both as pictures or both as NIfTI.")
        volume = nifti.read(data, name)
        values = volume.slices
        if values.shape != (shape[0], *shape[2:]):
            raise UserError(
                f"{name} has the shape {values.T.shape}, but {of} has {(shape[3], shape[2], shape[0])}; resample it."
            )
        if not np.allclose(volume.affine, image.affine, atol=1e-3):
            raise UserError(f"{name} has another affine than {of}, so that voxels do not match; resample it.")
    if not (values == np.rint(values)).all() or values.min() < 0:
        raise UserError(f"{name} has values that are no label numbers; save whole numbers from 0 on.")
    return (values > 0 if foreground is None else np.isin(values, foreground)).astype(np.uint8)


def _index(files: Files, modality: int, source: Path) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Names of the images by case, and of the label maps by case and rater."""
    found: dict[str, dict[str, list[str]]] = {"images": defaultdict(list), "labels": defaultdict(list)}
    used = set()
    for name in files.names:
        parts = PurePosixPath(name).parts
        kind = next((kind for part in reversed(parts[:-1]) for kind in found if part.lower().startswith(kind)), None)
        stem = _without_suffix(parts[-1])
        if kind is None or stem is None:
            continue
        used.add(name)
        if kind == "labels":
            found[kind][stem].append(name)
        elif (match := IMAGE.fullmatch(stem)) is None:
            raise UserError(f"{name} in {source} is not called <case>_<modality>, such as {stem}_0000; rename it.")
        elif int(match["modality"]) == modality:
            found[kind][match["case"]].append(name)
    for kind, layout in (("images", f"<case>_{modality:04d}.png"), ("labels", "<case>_<rater>.png")):
        if not found[kind]:
            raise UserError(
                f"{source} has no {kind}*/{layout}; give the folder or archive with `images*` and `labels*`."
            )
    refuse_others(files, used, "images*/<case>_<modality> and labels*/<case>_<rater>", source)
    images, label_maps = (one_each(files, claims, source, of="case") for claims in found.values())
    images = {case: images[case] for case in sorted(images, key=natural)}
    return images, _assigned(label_maps, images, source)


def _assigned(label_maps: dict[str, str], images: dict[str, str], source: Path) -> dict[str, dict[str, str]]:
    """Names of the label maps by case and rater, without consensus."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    whole = {}
    for stem, name in label_maps.items():
        case, _, rater = stem.rpartition("_")
        if stem in images and case in images:
            raise UserError(f"{name} in {source} may be of the case {stem}, or of {case} by {rater}; rename one case.")
        if stem in images:
            whole[stem] = name
        elif case not in images:
            raise UserError(f"{name} in {source} is a label map without an image; add the image or remove it.")
        elif rater.lower() not in CONSENSUS:
            found[case][rater] = name
    for case, name in whole.items():
        found.setdefault(case, {"": name})
    return found


def _named(label_maps: dict[str, dict[str, str]], table: Path) -> dict[str, dict[str, str]]:
    """The label maps by case and rater, with the raters that the csv names."""
    found = dict(label_maps)
    for line, row in read_table(table, {"image": ["image"]}, {"raters": ["raters"]}):
        case, names = _case_of(row["image"]), row["raters"].split()
        if not names or case not in label_maps:
            continue
        own = sorted(label_maps[case], key=natural)
        if len(names) != len(own) or len(set(names)) < len(names):
            raise UserError(
                f"line {line} of {table} names the raters {row['raters']}, but {case} has {len(own)} label map(s); "
                "name each of its raters once."
            )
        found[case] = {rater: label_maps[case][key] for rater, key in zip(names, own, strict=True)}
    return found


def _case_of(name: str) -> str:
    """The case that a csv names: its id, or the file of its image."""
    stem = _without_suffix(name) or name
    match = IMAGE.fullmatch(stem) if stem != name else None
    return match["case"] if match else stem


def _without_suffix(name: str) -> str | None:
    """A file's name without its suffix; None if it is no picture, array or volume."""
    return next((name[: -len(suffix)] for suffix in SUFFIXES if name.lower().endswith(suffix)), None)


def _is_nifti(name: str) -> bool:
    return name.lower().endswith(nifti.SUFFIXES)

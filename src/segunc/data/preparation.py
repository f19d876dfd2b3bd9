"""From raw images of any format to one HDF5 store: images of one size, and a split by patient."""

import importlib
import platform
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypedDict

import h5py
import numpy as np
from numpy.typing import NDArray

from segunc.data.archive import digest
from segunc.data.geometry import area, crop
from segunc.data.splits import SPLITS, check_split, split_patients
from segunc.data.store import CHUNK, Dropped, ImageRecord, read_attributes, write_store
from segunc.runtime.errors import UserError
from segunc.runtime.progress import Progress


class SplitSpec(TypedDict):
    """Shares of the patients in each split, with sum 1, and the seed of the shuffling."""

    train: float
    val: float
    test: float
    seed: int


class PrepareSpec(TypedDict):
    """Settings of `prepare`, from `segunc.config.specs.prepare`."""

    format: str
    """Raw format: a module of `segunc.data.formats`."""
    options: Mapping[str, Any]
    """Options of the raw format, without its raw data."""
    size: int
    """Height and width of the images, in pixels."""
    resize: Literal["crop", "area"]
    split: SplitSpec


def resize(record: ImageRecord, size: int, how: str) -> ImageRecord:
    """The record with `size` x `size` pixels; `how` is `crop` (of the centre) or `area` (averages).

    Cropping pads a smaller image with its own minimum. The probability is averaged like an image, so under `area` it is
    the mean over the pixel's area, which only approximates the probability of the thresholded mask.
    """

    def fit(pixels: NDArray, padding: float = 0) -> NDArray:
        return area(pixels, size) if how == "area" else crop(pixels, size, padding)

    return record._replace(
        image=fit(record.image, padding=float(record.image.min())),
        masks=[None if mask is None else fit(mask) for mask in record.masks],
        probability=None if record.probability is None else fit(record.probability),
    )


def resized(
    entries: Iterable[ImageRecord | Dropped], size: int, how: str, exclusions: Counter[str], progress: Progress
) -> Iterator[ImageRecord]:
    """The records in their new size; counts the images left out in `exclusions`, by reason.

    Raises UserError if two records share an id, or if they are not all grey or all RGB.
    """
    seen: set[str] = set()
    channels = 0
    for entry in entries:
        progress.update(len(seen))
        if isinstance(entry, Dropped):
            exclusions[entry.reason] += 1
            continue
        if entry.image_id in seen:
            raise UserError(f"image {entry.image_id} appears twice; image ids must be unique.")
        seen.add(entry.image_id)
        channels = channels or len(entry.image)
        if len(entry.image) != channels:
            raise UserError(
                f"image {entry.image_id} has {len(entry.image)} channel(s), but the images before it have {channels}; "
                "a dataset is all grey or all RGB."
            )
        record = resize(entry, size, how)
        if _marked(entry) and not _marked(record):
            exclusions["marked outside the crop only" if how == "crop" else "marks too small for the new size"] += 1
            continue
        yield record
    if not seen:
        raise UserError("the raw data has no image with a foreground annotation; check the dataset's options.")


def _marked(record: ImageRecord) -> bool:
    return any(mask is not None and mask.any() for mask in record.masks)


def assign_splits(shares: SplitSpec, patient_ids: list[str], published: list[str | None]) -> list[str]:
    """The split of each image: the published one if there is one, otherwise that of its patient in a seeded split.

    Raises UserError if a patient is in two splits, if the release has a split for some images only, or if there are no
    training or no test images. A published split without validation images is enough for active learning.
    """
    if any(published):
        if not all(published):
            patient = patient_ids[published.index(None)]
            raise UserError(f"an image of patient {patient} is missing from the published split; add or remove it.")
        splits = [split for split in published if split]
    else:
        split_of = split_patients(patient_ids, **shares)
        splits = [split_of[patient] for patient in patient_ids]
    check_split(patient_ids, splits)
    for split in ("train", "test"):
        if split not in splits:
            raise UserError(f"the published split has no {split} images; move or add some.")
    return splits


def prepare(spec: PrepareSpec, raw: Mapping[str, Path], output: Path) -> None:
    """Writes the store `output` from raw data.

    `raw` contains the files or folders by option name. Raises UserError if the raw data is missing, damaged or
    contradictory; then `output` is left as it was.
    """
    for path in raw.values():
        try:
            path.stat()
        except OSError as error:
            raise UserError(f"{path} cannot be opened ({error.strerror}); put the raw data there.") from None
    # Imported by name, so that the code digest of this stage covers only the format that the dataset uses.
    read = importlib.import_module(f"segunc.data.formats.{spec['format']}").read
    exclusions: Counter[str] = Counter()
    entries = read(**spec["options"], **raw)
    records = resized(entries, spec["size"], spec["resize"], exclusions, Progress(f"prepare {output.stem}"))
    attributes = {
        "spec": spec,
        "raw": {name: digest(path) for name, path in raw.items()},
        "exclusions": exclusions,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("segunc", "numpy", "pillow")},
            **{name: version(name) for name in ("pydicom",) if name in sys.modules},  # imported by some formats
            "h5py": h5py.__version__,
        },
    }
    write_store(output, records, partial(assign_splits, spec["split"]), attributes)


def summary(path: Path) -> str:
    """One line on a store: images and patients per split, annotators, share of empty masks, images left out.

    Masks are read a few at a time, so that the store may be larger than memory.
    """
    with h5py.File(path, "r") as file:
        split_of, patients = (file[name].asstr()[:] for name in ("split", "patient_id"))
        annotated, masks = file["annotated"][:], file["masks"]
        parts = (masks[start : start + CHUNK] for start in range(0, len(masks), CHUNK))
        marked = np.concatenate([part.any(axis=(2, 3)) for part in parts])
    splits = [
        f"{split} {(split_of == split).sum()} images of {len(set(patients[split_of == split]))} patients"
        for split in SPLITS
    ]
    if "val" not in split_of:
        splits.append("without val images, only active learning can train")
    dropped = [f"{count} dropped ({reason})" for reason, count in read_attributes(path)["exclusions"].items()]
    empty = 1 - marked[annotated].mean()
    facts = [*splits, f"{annotated.shape[1]} annotator(s), {empty:.0%} of masks empty", *(dropped or ["none dropped"])]
    return f"{path.stem}: {'; '.join(facts)}"

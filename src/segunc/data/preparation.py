"""From raw images of any format to one HDF5 store: images of one size, and a split by patient."""

import importlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict, final

import numpy as np
from numpy.typing import NDArray

from segunc.data import duplicates
from segunc.data.archive import NO_NAME, digest
from segunc.data.fingerprint import state_of
from segunc.data.geometry import area, crop
from segunc.data.hdf5 import open_hdf5
from segunc.data.splits import check_split, deal_folds, split_patients
from segunc.data.store import CHUNK, Dropped, ImageRecord, parts_of, read_attributes, read_remarks, write_store
from segunc.runtime.errors import UserError
from segunc.runtime.progress import Progress


@final
class SharesSpec(TypedDict):
    """Shares of the patients in each split, with sum 1, and the seed of the shuffling."""

    train: float
    val: float
    test: float
    seed: int


@final
class FoldsSpec(TypedDict):
    """Number of folds, and the seed of the shuffling."""

    folds: int
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
    split: SharesSpec | FoldsSpec
    raw: NotRequired[Mapping[str, str]]
    """Digests of the raw data by option name, as the workflow saw it."""


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


class Found(NamedTuple):
    """What `resized` notes about a dataset; complete once all its records have streamed."""

    exclusions: Counter[str]
    """The number of images left out, by reason."""
    remarks: Counter[str]
    """The number of images kept, by remark."""
    contents: dict[str, str]
    """A digest of the raw pixels of each image kept, by its id (`duplicates.content`)."""


def resized(
    entries: Iterable[ImageRecord | Dropped], size: int, how: str, found: Found, progress: Progress
) -> Iterator[ImageRecord]:
    """The records in their new size; fills `found`.

    Raises UserError if two records share an id, if an id is not readable, if two patients cannot be told apart, or if
    the images are not all grey or all RGB.
    """
    seen: set[str] = set()
    patients: dict[str, str] = {}
    channels = 0
    for entry in entries:
        progress.update(len(seen))
        if isinstance(entry, Dropped):
            found.exclusions[entry.reason] += 1
            continue
        _check_ids(entry, patients)
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
            reason = "marked outside the crop only" if how == "crop" else "marks too small for the new size"
            found.exclusions[reason] += 1
            continue
        found.remarks.update(entry.remarks)
        found.contents[entry.image_id] = duplicates.content(entry.image)
        yield record
    if not seen:
        raise UserError("the raw data has no image with a foreground annotation; check the dataset's options.")


def _check_ids(record: ImageRecord, patients: dict[str, str]) -> None:
    """Raises UserError for an id that cannot be read; `patients` collects those seen so far, by how they look."""
    for what, text in (("id", record.image_id), ("group", record.group_id), ("patient", record.patient_id)):
        if NO_NAME.search(text) or not duplicates.visible(text):
            raise UserError(
                f"image {record.image_id[:80]!a} has the {what} {text[:80]!a}, which is not readable text; correct it."
            )
    known = patients.setdefault(duplicates.visible(record.patient_id), record.patient_id)
    if known != record.patient_id:
        raise UserError(
            f"image {record.image_id} has the patient {record.patient_id!a}, another one {known!a}, which look the "
            "same; give both the same id, or ids that differ visibly."
        )


def _marked(record: ImageRecord) -> bool:
    return any(mask is not None and mask.any() for mask in record.masks)


def assign_splits(
    how: SharesSpec | FoldsSpec,
    patient_ids: list[str],
    published: list[str | None],
    tied: Iterable[Collection[str]] = (),
) -> list[str] | list[int]:
    """The split of each image: the published one if there is one, otherwise that of its patient; or the patient's fold.

    `tied` patients get the same split or fold. Raises UserError if there are too few patients; if the release has a
    split for some images only, or a patient in two splits; or if it has no training or no test images. A published
    split without validation images is enough for active learning.
    """
    if any(published):
        if not all(published):
            patient = patient_ids[published.index(None)]
            raise UserError(f"an image of patient {patient} is missing from the published split; add or remove it.")
        splits = [split for split in published if split]
        check_split(patient_ids, splits)
        for split in ("train", "test"):
            if split not in splits:
                raise UserError(f"the published split has no {split} images; move or add some.")
        return splits
    if "folds" in how:
        fold_of = deal_folds(patient_ids, **how, tied=tied)
        return [fold_of[patient] for patient in patient_ids]
    split_of = split_patients(patient_ids, **how, tied=tied)
    return [split_of[patient] for patient in patient_ids]


def unchanged(
    records: Iterable[ImageRecord], raw: Mapping[str, Path], planned: Mapping[str, str], digests: dict[str, str]
) -> Iterator[ImageRecord]:
    """The records, then a check that the raw data is still what it was; fills `digests`, by option name.

    planned: the digests with which the job was planned, if any. Raises UserError if a file was touched while the
    records streamed, or if a digest is not the planned one.
    """
    before = {name: state_of(path) for name, path in raw.items()}
    yield from records
    for name, path in raw.items():
        digests[name] = digest(path)
        if state_of(path) != before[name] or digests[name] != planned.get(name, digests[name]):
            raise UserError(f"the raw data in {path} changed while it was read; run again.")


def by_option(raw: Mapping[str, Path]) -> dict[str, Path | list[Path]]:
    """The raw data by option name: `slices` and `slices-2`, which are of one option, together."""
    found: dict[str, list[Path]] = {}
    for name, path in raw.items():
        found.setdefault(name.partition("-")[0], []).append(path)
    return {name: paths if len(paths) > 1 else paths[0] for name, paths in found.items()}


def prepare(spec: PrepareSpec, raw: Mapping[str, Path], output: Path) -> None:
    """Writes the store `output` from raw data.

    `raw` contains the files or folders by option name (`by_option`). Raises UserError if the raw data is missing,
    damaged, contradictory or changed meanwhile; then `output` is left as it was.
    """
    for path in raw.values():
        try:
            path.stat()
        except OSError as error:
            raise UserError(f"{path} cannot be opened ({error.strerror}); put the raw data there.") from None
    # Imported by name, so that the code digest of this stage covers only the format that the dataset uses.
    read = importlib.import_module(f"segunc.data.formats.{spec['format']}").read
    found = Found(Counter(), Counter(), {})
    digests: dict[str, str] = {}
    records = resized(
        read(**spec["options"], **by_option(raw)),
        spec["size"],
        spec["resize"],
        found,
        Progress(f"prepare {output.stem}"),
    )

    def assign(patient_ids: list[str], published: list[str | None]) -> list[str] | list[int]:
        groups = duplicates.groups_of(found.contents.values())
        tied = [{patient_ids[image] for image in group} for group in groups]
        assigned = assign_splits(spec["split"], patient_ids, published, tied)
        found.remarks.update(duplicates.identical_images(groups, list(found.contents), patient_ids, assigned))
        found.remarks.update(duplicates.similar_patients(patient_ids))
        return assigned

    attributes = {
        "spec": spec,
        "raw": digests,
        "exclusions": found.exclusions,
        "remarks": found.remarks,
    }
    write_store(output, unchanged(records, raw, spec.get("raw", {}), digests), assign, attributes)


def summary(path: Path) -> str:
    """One line on a store: images and patients per split or fold, annotators, share of empty masks, images left out.

    A further line for each remark on the images kept.

    Masks are read a few at a time, so that the store may be larger than memory.
    """
    with open_hdf5(path) as file:
        (part_of, parts), patients = parts_of(file), file["patient_id"].asstr()[:]
        annotated, masks = file["annotated"][:], file["masks"]
        blocks = (masks[start : start + CHUNK] for start in range(0, len(masks), CHUNK))
        marked = np.concatenate([block.any(axis=(2, 3)) for block in blocks])
    counts = [
        f"{part} has {_count((part_of == part).sum(), 'image')} of "
        f"{_count(len(set(patients[part_of == part])), 'patient')}"
        for part in parts
    ]
    if "val" in parts and "val" not in part_of:
        counts.append("without val images, only active learning can train")
    dropped = [f"{count} dropped ({reason})" for reason, count in read_attributes(path)["exclusions"].items()]
    empty = 1 - marked[annotated].mean()
    annotators = _count(annotated.shape[1], "annotator")
    facts = [*counts, f"{annotators}, {empty:.0%} of masks empty", *(dropped or ["none dropped"])]
    return "\n  ".join([f"{path.stem}: {'; '.join(facts)}", *read_remarks(path)])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"

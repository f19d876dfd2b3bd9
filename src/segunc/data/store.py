"""The HDF5 file of a dataset: what `prepare` writes and every later stage reads (layout: docs/architecture.md)."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from segunc.data.hdf5 import create_hdf5, open_hdf5
from segunc.runtime.files import write_atomically

SPLITS = ("train", "val", "test")
BATCH = 256
"""Images held in memory while a store is written or read."""
CHUNK = 16
"""Images per HDF5 chunk; each annotator's masks have their own chunks, because not every image has every annotator."""


class ImageRecord(NamedTuple):
    """One image with everything known about it, as raw formats yield it."""

    image: NDArray[np.uint8]
    """(C, H, W), C = 1 (grey) or 3 (RGB)."""
    masks: Sequence[NDArray[np.uint8] | None]
    """Per annotator slot {0, 1} (H, W), or None for an annotator who did not see the image."""
    image_id: str
    group_id: str
    """Shared by the images of one nodule or lesion."""
    patient_id: str
    split: str | None = None
    """`train`, `val` or `test` where the release publishes a split."""
    probability: NDArray[np.floating] | None = None
    """(H, W) in [0, 1]: the true probability that an annotator marks the pixel, known for phantoms only."""
    remarks: Sequence[str] = ()
    """Facts about an image that is kept, each once; `prepare` counts the images by remark."""


class Dropped(NamedTuple):
    """What a raw format yields instead of an image that it leaves out."""

    image_id: str
    reason: str


class Images(NamedTuple):
    """The N images of one split, in the order of the store."""

    images: NDArray[np.uint8]
    """(N, C, H, W)"""
    masks: NDArray[np.uint8]
    """(N, A, H, W) of {0, 1}; 0 in slots that do not exist."""
    annotated: NDArray[np.bool_]
    """(N, A): which slots exist."""
    image_id: NDArray[np.str_]
    group_id: NDArray[np.str_]
    patient_id: NDArray[np.str_]
    annotator_probability: NDArray[np.float16] | None
    """(N, H, W) for phantoms, None for real data."""


def write_store(
    path: Path,
    records: Iterable[ImageRecord],
    assign_splits: Callable[[list[str], list[str | None]], Sequence[str] | Sequence[int]],
    attributes: Mapping[str, Any],
) -> None:
    """Streams records of one shape into a new store; after any error, `path` is as it was before.

    `assign_splits(patient_ids, published)` gets the patient and the published split of every image, once all are known,
    and returns the split of each, or its fold: a number from 0; no fold is empty. `attributes` are written as JSON
    after the last record, so counts in them may still grow while the records stream.
    """
    texts: dict[str, list[str]] = {"image_id": [], "group_id": [], "patient_id": []}
    published: list[str | None] = []
    with write_atomically(path) as beside, create_hdf5(beside) as file:
        stream = iter(records)
        while batch := list(islice(stream, BATCH)):
            _append(file, batch)
            for name, values in texts.items():
                values += [getattr(record, name) for record in batch]
            published += [record.split for record in batch]
        assigned = np.array(assign_splits(texts["patient_id"], published))
        if assigned.dtype.kind == "U":
            texts["split"] = assigned.tolist()
        else:
            file["fold"] = assigned.astype(np.uint8)
            file["fold"].attrs["folds"] = assigned.max() + 1
        for name, values in texts.items():
            file.create_dataset(name, data=values, dtype=h5py.string_dtype())
        for name, value in attributes.items():
            file.attrs[name] = json.dumps(value, sort_keys=True)


def _append(file: h5py.File, batch: Sequence[ImageRecord]) -> None:
    """Appends records; the annotator axis grows with the largest number of slots seen so far."""
    slots = max(len(record.masks) for record in batch)
    size = batch[0].image.shape[1:]
    masks = np.zeros((len(batch), slots, *size), np.uint8)
    annotated = np.zeros((len(batch), slots), bool)
    for row, record in enumerate(batch):
        for slot, mask in enumerate(record.masks):
            if mask is not None:
                masks[row, slot], annotated[row, slot] = mask, True
    arrays = {"images": np.stack([record.image for record in batch]), "masks": masks, "annotated": annotated}
    if probabilities := [record.probability for record in batch if record.probability is not None]:
        arrays["annotator_probability"] = np.stack(probabilities).astype(np.float16)
    for name, values in arrays.items():
        _grow(file, name, values, per_slot=name in ("masks", "annotated"))


def _grow(file: h5py.File, name: str, values: NDArray, per_slot: bool) -> None:
    if name not in file:
        chunks = (CHUNK, 1, *values.shape[2:]) if per_slot else (CHUNK, *values.shape[1:])
        limits = (None, None, *values.shape[2:]) if per_slot else (None, *values.shape[1:])
        file.create_dataset(
            name,
            shape=(0, *values.shape[1:]),
            maxshape=limits,
            chunks=chunks,
            dtype=values.dtype,
            compression="gzip",
            compression_opts=1,
        )
    dataset = file[name]
    before = len(dataset)
    dataset.resize(before + len(values), axis=0)
    if per_slot and values.shape[1] > dataset.shape[1]:
        dataset.resize(values.shape[1], axis=1)
    target = np.s_[before:, : values.shape[1]] if per_slot else np.s_[before:]
    dataset[target] = values


def read_split(path: Path, split: str, seed: int) -> Images:
    """The images of `split` (`train`, `val` or `test`) for a seed (`splits_of`); N may be 0.

    Raises UserError as `open_hdf5` does.
    """
    with open_hdf5(path) as file:
        keep = splits_of(file, seed) == split
        probability = "annotator_probability"
        return Images(
            images=_rows(file["images"], keep),
            masks=_rows(file["masks"], keep),
            annotated=_rows(file["annotated"], keep),
            image_id=_strings(file["image_id"])[keep],
            group_id=_strings(file["group_id"])[keep],
            patient_id=_strings(file["patient_id"])[keep],
            annotator_probability=_rows(file[probability], keep) if probability in file else None,
        )


def read_ids(path: Path, seed: int) -> tuple[dict[str, NDArray[np.str_]], tuple[int, int]]:
    """The ids of the images of each split for a seed, in the order of the store, and height and width of all images.

    Raises UserError as `open_hdf5` does.
    """
    with open_hdf5(path) as file:
        split, image_id = splits_of(file, seed), _strings(file["image_id"])
        height, width = file["images"].shape[2:]
        return {name: image_id[split == name] for name in SPLITS}, (height, width)


def splits_of(file: h5py.File, seed: int) -> NDArray[np.str_]:
    """The split (N,) of each image of an open store: `train`, `val` or `test`.

    Without a fixed split, it is that of the image's fold for the seed of a training run (`split_of_folds`).
    """
    if "split" in file:
        return _strings(file["split"])
    fold, folds = _folds(file)
    return split_of_folds(fold, folds, seed)


def split_of_folds(fold: NDArray[np.integer], folds: int, seed: int) -> NDArray[np.str_]:
    """The split (N,) of the images of a training run with this seed.

    fold: (N,), in [0, folds). Seed s tests on the fold s mod folds, validates on the next one and trains on the rest.
    So as many consecutive seeds as there are folds test every image once.
    """
    return np.select([fold == seed % folds, fold == (seed + 1) % folds], ["test", "val"], "train")


def parts_of(file: h5py.File) -> tuple[NDArray[np.str_], Sequence[str]]:
    """What an open store is divided into: the part (N,) of each image, and the names of all parts.

    These are the splits, or `fold 0`, `fold 1` and so on.
    """
    if "split" in file:
        return _strings(file["split"]), SPLITS
    fold, folds = _folds(file)
    names = [f"fold {number}" for number in range(folds)]
    return np.array(names)[fold], names


def _folds(file: h5py.File) -> tuple[NDArray[np.integer], int]:
    """The fold (N,) of each image, and the number of folds."""
    return file["fold"][:], int(file["fold"].attrs["folds"])


def take(images: Images, keep: NDArray) -> Images:
    """The images at the positions `keep`, in that order; or where it is True, if it is bool (N,)."""
    return images._replace(**{name: part[keep] for name, part in images._asdict().items() if part is not None})


def _rows(dataset: h5py.Dataset, keep: NDArray[np.bool_]) -> NDArray:
    """`dataset[keep]`, read in blocks of rows: HDF5 is slow at single rows, and the whole may be large."""
    rows = np.empty((int(keep.sum()), *dataset.shape[1:]), dataset.dtype)
    filled = 0
    for start in range(0, len(keep), BATCH):
        wanted = keep[start : start + BATCH]
        if wanted.any():
            part = dataset[start : start + BATCH][wanted]
            rows[filled : filled + len(part)] = part
            filled += len(part)
    return rows


def _strings(dataset: h5py.Dataset) -> NDArray[np.str_]:
    return np.asarray(dataset.asstr()[:], dtype=np.str_)


def read_attributes(path: Path) -> dict[str, Any]:
    """The attributes of a store (`spec`, `raw`, `exclusions`, `remarks`), decoded from JSON.

    Raises UserError as `open_hdf5` does.
    """
    with open_hdf5(path) as file:
        return {name: json.loads(value) for name, value in file.attrs.items()}


def read_remarks(path: Path) -> list[str]:
    """The remarks on the images of a store, each with the number of images. Raises UserError as `open_hdf5` does."""
    remarks = read_attributes(path).get("remarks", {})
    return [f"{count:,} image{'s' * (count != 1)}: {remark}" for remark, count in remarks.items()]

"""Anybody's predictions as files: samples, probabilities or masks of images, in the layouts that tools write.

A prediction is called by the id of its image, in which `/` may be `__` (`segunc.data.export.flat_name`).

    <id>.npz      `samples` (S, H, W) of 0 and 1, or `probability` (H, W) or (S, H, W), or both; or nnU-Net's
                  `probabilities` (C, 1, H, W): background first, or one channel of foreground
    <id>.npy      probability (H, W) or (S, H, W)
    <id>.nii.gz   one slice: floats are probabilities, integers a mask
    <id>.png      mask of 0 and 255, or, if that is asked for, probability in 8 or 16 bits
    one .h5       `image_id` (N,), with `samples` (N, S, H, W), or `probability` (N, H, W) or (N, S, H, W), or both

In folders called `sample_00`, `sample_01`, ... or `fold_0`, `fold_1`, ..., each folder is one sample of every image.
Beside `samples`, `probability` (H, W) is the probability that is scored; else it is the mean of the samples.
Nothing is unpickled, and files beside predictions that tools write (.json, .pkl, .txt, ...) are not read.
"""

import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from segunc.data import decode, nifti
from segunc.data.archive import Files, natural, open_files
from segunc.data.export import flat_name
from segunc.data.hdf5 import open_hdf5
from segunc.data.roles import one_each, refuse_others
from segunc.runtime.errors import UserError

SUFFIXES = (*nifti.SUFFIXES, ".npz", ".npy", ".png")
DRAW = re.compile(r"(?:fold|sample)[_-]?\d+")
"""A folder that is one sample of every image."""
BESIDE = re.compile(r"\.pkl$", re.IGNORECASE)
"""What nnU-Net writes beside predictions."""
TOLERANCE = 2e-3
"""By how much the channels of an image may sum to other than 1: twice the rounding of float16."""


class Predicted(NamedTuple):
    """What the files say about one image."""

    samples: NDArray
    """(S, H, W): bool if they are masks, else probabilities, float32 in [0, 1]."""
    probability: NDArray[np.float32] | None
    """(H, W) in [0, 1], if it is given beside the samples."""


class Predictions(Protocol):
    """Predictions of many images."""

    def ids(self, images: list[str]) -> tuple[list[str], list[str]]:
        """Which of the images have no prediction, and which predictions are of none of these images."""

    def read(self, image_id: str, shape: tuple[int, int]) -> Predicted:
        """The prediction of an image of `shape` (H, W). Raises UserError, naming the file, if it cannot be used."""


@contextmanager
def open_predictions(source: Path, grey_is_probability: bool = False) -> Iterator[Predictions]:
    """The predictions of a folder, an archive of it, or one HDF5 file.

    grey_is_probability: whether PNG files are probabilities instead of masks. Raises UserError if there are none.
    """
    if h5py.is_hdf5(source):
        with open_hdf5(source) as file:
            yield _OneFile(source, file)
    else:
        with open_files(source) as files:
            yield _ManyFiles(source, files, grey_is_probability)


class _ManyFiles:
    def __init__(self, source: Path, files: Files, grey_is_probability: bool) -> None:
        self._source, self._files, self._grey = source, files, grey_is_probability
        self._draws = self._index()
        # An archive often has a folder around everything.
        around = os.path.commonpath(["/".join(PurePosixPath(key).parts[:-1]) or "." for key in self._draws[0]])
        parts = PurePosixPath(around).parts
        self._roots = ["", *("/".join(parts[: depth + 1]) + "/" for depth in range(len(parts)))]

    def _index(self) -> list[dict[str, str]]:
        """The name of each prediction's file by its key, for each folder that is one sample; or for the whole."""
        claims: dict[str, dict[str, list[str]]] = {}
        used = set()
        for name in self._files.names:
            suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)
            if suffix is None:
                used.update([name] if BESIDE.search(name) else [])
                continue
            used.add(name)
            parts = PurePosixPath(name[: -len(suffix)]).parts
            place = next((place for place, part in enumerate(parts[:-1]) if DRAW.fullmatch(part)), None)
            draw = "" if place is None else parts[place]
            key = "/".join(part for at, part in enumerate(parts) if at != place)
            claims.setdefault(draw, {}).setdefault(key, []).append(name)
        if not claims:
            raise UserError(f"{self._source} has no prediction such as <id>.npz; name the folder that has them.")
        refuse_others(self._files, used, "<id>.npz, .npy, .nii.gz or .png", self._source)
        if "" in claims and len(claims) > 1:
            name = next(iter(claims[""].values()))[0]
            raise UserError(f"{self._source} has {name} beside folders of samples; move it into one of them.")
        draws = sorted(claims, key=natural)
        preferred = {draw: _without_masks_of_nnunet(claims[draw]) for draw in draws}
        found = [one_each(self._files, preferred[draw], self._source) for draw in draws]
        for draw, names in zip(draws, found, strict=True):
            if missing := sorted(set().union(*found) - set(names)):
                raise UserError(f"{draw} in {self._source} has no prediction of {missing[0]}; each sample needs it.")
        return found

    def ids(self, images: list[str]) -> tuple[list[str], list[str]]:
        keys = {image_id: self._key(image_id) for image_id in images}
        used = set(keys.values())
        without = [image_id for image_id, key in keys.items() if key is None]
        return without, [name for key, name in self._draws[0].items() if key not in used]

    def _key(self, image_id: str) -> str | None:
        """What the files of an image are called: the id, its flat name, or either in a folder around all of them."""
        names = (root + name for root in self._roots for name in (image_id, flat_name(image_id)))
        return next((name for name in names if name in self._draws[0]), None)

    def read(self, image_id: str, shape: tuple[int, int]) -> Predicted:
        key = self._key(image_id)
        assert key is not None, "the caller asks for images that `ids` does not lack"
        parts = [self._one(names[key], shape) for names in self._draws]
        if len(parts) == 1:
            return parts[0]
        for names, part in zip(self._draws, parts, strict=True):
            if len(part.samples) != 1 or part.samples.dtype != parts[0].samples.dtype:
                what = "several samples" if len(part.samples) != 1 else "a mask where others are probabilities"
                raise UserError(f"{names[key]} in {self._source} has {what}, but its folder is one sample; split it.")
        return Predicted(np.concatenate([part.samples for part in parts]), None)

    def _one(self, name: str, shape: tuple[int, int]) -> Predicted:
        content, lower = self._files.read(name), name.lower()
        label = f"{name} in {self._source}"
        if lower.endswith(".npz"):
            return _of_arrays(_unpacked(content, label), label, shape)
        if lower.endswith(".npy"):
            with decode.explained(label, "a NumPy array"):
                values = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
            return _of_arrays({"probability": values}, label, shape)
        if lower.endswith(".png"):
            return self._picture(content, label, shape)
        volume = nifti.read(content, label).slices
        if len(volume) != 1:
            raise UserError(f"{label} has {len(volume)} slices, but a prediction is of one image; save one per file.")
        is_mask = volume.dtype.kind != "f"
        return _of_arrays({"samples" if is_mask else "probability": volume}, label, shape)

    def _picture(self, content: bytes, label: str, shape: tuple[int, int]) -> Predicted:
        if not self._grey:
            return Predicted(decode.mask(content, label, shape)[None].astype(bool), None)
        values = decode.labels(content, label, shape)
        if values.dtype.kind not in "bui":
            raise UserError(f"{label} has {values.dtype} values, but a probability has 8 or 16 bits; convert it.")
        top = 65535 if values.dtype.itemsize > 1 else 255
        return Predicted((values / np.float32(top)).astype(np.float32)[None], None)


class _OneFile:
    def __init__(self, source: Path, file: h5py.File) -> None:
        self._source, self._file = source, file
        given = [name for name in ("samples", "probability") if name in file]
        if "image_id" not in file or not given:
            raise UserError(f"{source} needs image_id, and samples or probability; {source.name} has {_listed(file)}.")
        ids = file["image_id"].asstr()[:].tolist()
        for name in given:
            if len(file[name]) != len(ids):
                raise UserError(f"{source} has {len(ids)} image_id, but {len(file[name])} {name}; correct it.")
        self._rows = {image_id: row for row, image_id in enumerate(ids)}
        if len(self._rows) < len(ids):
            raise UserError(f"{source} has an image_id twice; keep one prediction per image.")
        self._given = given

    def ids(self, images: list[str]) -> tuple[list[str], list[str]]:
        known = set(images)
        return [image for image in images if image not in self._rows], [row for row in self._rows if row not in known]

    def read(self, image_id: str, shape: tuple[int, int]) -> Predicted:
        arrays = {name: self._file[name][self._rows[image_id]] for name in self._given}
        return _of_arrays(arrays, f"image {image_id} in {self._source}", shape)


def _without_masks_of_nnunet(claims: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Of a case with `<case>.npz`, nnU-Net also writes the mask, whose file has the same name but for its suffix."""
    return {key: [name for name in names if name.lower().endswith(".npz")] or names for key, names in claims.items()}


def _unpacked(content: bytes, label: str) -> dict[str, NDArray]:
    if content.startswith(np.lib.format.MAGIC_PREFIX):
        raise UserError(f"{label} is an NPY file, not an NPZ file; rename it.")
    with decode.explained(label, "an NPZ file"), np.lib.npyio.NpzFile(io.BytesIO(content)) as arrays:
        known = [name for name in ("samples", "probability", "probabilities") if name in arrays.files]
        if not known:
            raise UserError(
                f"{label} has {_listed(arrays.files)}, but samples, probability or probabilities is needed."
            )
        if "probabilities" in known and len(known) > 1:
            raise UserError(f"{label} has probabilities of nnU-Net and {known[0]}; keep one of them.")
        return {name: arrays[name] for name in known}


def _of_arrays(arrays: Mapping[str, NDArray], label: str, shape: tuple[int, int]) -> Predicted:
    """The prediction in arrays by name, all of which are checked."""
    for values in arrays.values():
        if values.dtype.kind not in "buif":
            raise UserError(f"{label} has {values.dtype} values, but numbers are needed; convert it.")
    if "probabilities" in arrays:
        return Predicted(_foreground(arrays["probabilities"], label, shape)[None], None)
    probability = arrays.get("probability")
    if probability is not None:
        several = probability.ndim == 3
        _check_shape(probability, label, shape, several)
        if several and "samples" in arrays:
            raise UserError(f"{label} has samples and several probabilities; keep one of them.")
        _check_range(probability, label)
        probability = probability.astype(np.float32)
    if "samples" not in arrays:
        assert probability is not None
        return Predicted(probability if probability.ndim == 3 else probability[None], None)
    samples = arrays["samples"]
    _check_shape(samples, label, shape, several=True)
    if samples.dtype != bool and not ((samples == 0) | (samples == 1)).all():
        found = ", ".join(f"{value:g}" for value in np.unique(samples.astype(float))[:4])
        raise UserError(
            f"{label} has samples of {found}, but masks are 0 and 1; threshold them, or call them probability."
        )
    return Predicted(samples.astype(bool), probability)


def _foreground(values: NDArray, label: str, shape: tuple[int, int]) -> NDArray[np.float32]:
    """The foreground (H, W) of nnU-Net's probabilities, (C, 1, H, W) or (C, H, W)."""
    channels = values[:, 0] if values.ndim == 4 and values.shape[1] == 1 else values
    if channels.ndim != 3 or channels.shape[1:] != shape:
        raise UserError(
            f"{label} has probabilities of the shape {values.shape}, but needs (C, 1, {shape[0]}, {shape[1]})."
        )
    _check_range(channels, label)
    if len(channels) == 1:  # trained by regions, without a background
        return channels[0].astype(np.float32)
    total = channels.sum(axis=0, dtype=np.float64)
    if np.abs(total - 1).max() > TOLERANCE:
        raise UserError(
            f"{label} has channels that sum to {total.flat[np.abs(total - 1).argmax()]:.3g} at a pixel, but those of "
            "background and foreground sum to 1; apply softmax, or keep one channel."
        )
    return channels[1:].sum(axis=0, dtype=np.float64).clip(0, 1).astype(np.float32)


def _check_shape(values: NDArray, label: str, shape: tuple[int, int], several: bool) -> None:
    if values.ndim != (3 if several else 2) or values.shape[-2:] != shape or not len(values):
        height, width = shape
        raise UserError(
            f"{label} has the shape {values.shape}, but its image needs ({height}, {width}) or (S, {height}, {width}); "
            "resample the prediction to the image."
        )


def _check_range(values: NDArray, label: str) -> None:
    with np.errstate(invalid="ignore"):
        low, high = float(values.min()), float(values.max())
    if np.isnan(low) or np.isnan(high):
        raise UserError(f"{label} has NaN; predict again.")
    if low < 0 or high > 1:
        what = "masks of 0 and 255 are divided by 255" if values.dtype.kind in "bui" else "logits need a sigmoid"
        raise UserError(f"{label} has values from {low:.3g} to {high:.3g}, but probabilities are in [0, 1]; {what}.")


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "nothing"

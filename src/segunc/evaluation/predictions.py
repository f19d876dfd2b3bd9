"""The prediction for one image, and reading predictions from a samples file."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from segunc.data.hdf5 import open_hdf5
from segunc.data.store import Images
from segunc.masks import pairwise_iou
from segunc.metrics.levels import level_sets
from segunc.metrics.uncertainty import entropy
from segunc.runtime.errors import UserError

CUTS = np.arange(1, 20) / 20
"""Thresholds of a probability map that are tried on the validation images: 0.05, 0.10, ..., 0.95."""


class Prediction(NamedTuple):
    """The prediction of a model, or of a baseline, for one image."""

    masks: NDArray
    """bool (S, H, W): the sampled masks."""
    probability: NDArray
    """float (H, W) in [0, 1]: foreground probability, the mean of the samples."""
    uncertainty: NDArray | None
    """float (H, W): predictive entropy in bits. None where `probability` is a share of masks that is not meant as a
    probability, as in some baselines; then no metric that judges a probability is defined."""
    exact: bool
    """Whether the S masks are the whole distribution, each outcome equally often; else they are independent."""
    expected_entropy: NDArray | None = None
    """float (H, W): mean of the samples' entropies in bits. It and the following are None in baselines."""
    mutual_information: NDArray | None = None
    """float (H, W): predictive minus expected entropy in bits."""
    log_foreground: NDArray | None = None
    """float (H, W): mean of the samples' log p, in nats."""
    log_background: NDArray | None = None
    """float (H, W): mean of the samples' log(1 - p), in nats."""
    cut: float = 0.5
    """The threshold of `probability` that is best on the validation images (`best_cut`)."""


MAPS = {
    "uncertainty": "predictive_entropy",
    "expected_entropy": "expected_entropy",
    "mutual_information": "mutual_information",
    "log_foreground": "expected_log_foreground",
    "log_background": "expected_log_background",
}
"""Fields of `Prediction`, and the datasets of a samples file that they are from."""


def unpack(packed: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The sampled masks (S, H, W) of one image from their packed rows (S, ceil(H*W/8)); shape: (H, W)."""
    masks = np.unpackbits(packed, axis=-1, count=shape[0] * shape[1]).view(bool)
    return masks.reshape(-1, *shape)


def read_predictions(path: Path, test: Images, validation: Images | None = None) -> Iterator[Prediction]:
    """The predictions of a samples file, one per test image, in the order of the store.

    Of a file without maps of uncertainty, `uncertainty` is the entropy of the mean, and the other maps are None. Their
    `cut` is chosen on the validation images, all of the same seed as `test`; it is 0.5 if the file has none of them.

    Raises UserError if the file is not a samples file, is of other images, or contains probabilities that are NaN.
    """
    with open_hdf5(path) as file:
        _require(path, file["image_id"], test, "test")
        cut = 0.5
        if validation is not None and "validation_image_id" in file:
            _require(path, file["validation_image_id"], validation, "validation")
            cut = best_cut(file["validation_probability"], validation)
        shape = int(file.attrs["height"]), int(file.attrs["width"])
        exact = file.attrs["draws"] == "exact"
        maps = {field: file[name] for field, name in MAPS.items() if name in file}
        for i, image_id in enumerate(test.image_id):
            mean = file["mean_probability"][i]
            if np.isnan(mean).any():
                raise UserError(
                    f"{path} contains NaN probabilities for image {image_id}, so the training diverged; "
                    "train the model with a lower learning_rate."
                )
            # float16 would round every sum and comparison downstream.
            of_image = {field: values[i].astype(np.float32) for field, values in maps.items()}
            if "uncertainty" not in of_image:
                of_image["uncertainty"] = entropy(mean)
            yield Prediction(unpack(file["samples"][i], shape), mean, exact=exact, cut=cut, **of_image)


def _require(path: Path, found: h5py.Dataset, images: Images, split: str) -> None:
    """Raises UserError if a samples file is of other images than the dataset's."""
    if found.asstr()[:].tolist() != images.image_id.tolist():
        raise UserError(
            f"{path} was sampled from other images ({len(found)}) than the dataset has for {split} "
            f"({len(images.image_id)}), or in another order; sample again."
        )


def best_cut(probabilities: Iterable[NDArray], validation: Images) -> float:
    """The threshold of CUTS at which the mean Dice on the validation images is largest; 0.5 if there are none.

    Each image has a map of foreground probabilities, (H, W) float in [0, 1]. Its Dice is the mean over the existing
    annotations. Of equally good thresholds, the one nearest to 0.5 is taken, and of two the lower.
    """
    total = np.zeros(len(CUTS))
    for i, probability in enumerate(probabilities):
        overlap = pairwise_iou(level_sets(probability, CUTS), annotations_of(validation, i))
        total += (2 * overlap / (1 + overlap)).mean(axis=1)
    nearest_first = np.argsort(np.abs(CUTS - 0.5).round(9), kind="stable")
    return float(CUTS[nearest_first[total[nearest_first].argmax()]])


def annotations_of(images: Images, index: int) -> NDArray[np.uint8]:
    """The existing annotations of image `index`, {0, 1} (A, H, W), including empty ones."""
    return images.masks[index][images.annotated[index]]

"""The prediction for one image, and reading predictions from a samples file."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segunc.data.hdf5 import open_hdf5
from segunc.runtime.errors import UserError


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


def unpack(packed: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The sampled masks (S, H, W) of one image from their packed rows (S, ceil(H*W/8)); shape: (H, W)."""
    masks = np.unpackbits(packed, axis=-1, count=shape[0] * shape[1]).view(bool)
    return masks.reshape(-1, *shape)


def read_predictions(path: Path, image_ids: NDArray) -> Iterator[Prediction]:
    """The predictions of a samples file, one per image, in the order of `image_ids` (those of the test split).

    Raises UserError if the file is not a samples file, is of other images, or contains probabilities that are NaN.
    """
    with open_hdf5(path) as file:
        found = file["image_id"].asstr()[:]
        if found.tolist() != image_ids.tolist():
            raise UserError(
                f"{path} was sampled from other images ({len(found)}) than the dataset's test split has "
                f"({len(image_ids)}), or in another order; sample again."
            )
        shape = int(file.attrs["height"]), int(file.attrs["width"])
        exact = file.attrs["draws"] == "exact"
        packed, probability, entropy = file["samples"], file["mean_probability"], file["predictive_entropy"]
        for i, image_id in enumerate(found):
            mean = probability[i]
            if np.isnan(mean).any():
                raise UserError(
                    f"{path} contains NaN probabilities for image {image_id}, so the training diverged; "
                    "train the model with a lower learning_rate."
                )
            # float16 would round every sum and comparison downstream.
            yield Prediction(unpack(packed[i], shape), mean, entropy[i].astype(np.float32), exact)

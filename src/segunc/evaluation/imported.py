"""Predictions that were made elsewhere, as a samples file like those of the models that segunc trains."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from segunc.data.archive import listed
from segunc.data.hdf5 import create_hdf5
from segunc.data.prediction_files import Predicted, Predictions, open_predictions
from segunc.data.samples_file import MUTUAL_INFORMATION_FLOOR, PROBABILITY_FLOOR, write_ids, write_parts
from segunc.data.store import read_ids
from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically
from segunc.runtime.progress import Progress


class ImportOptions(TypedDict):
    """Options of `segunc.models.predictions`, without the folder."""

    samples: Literal["exact", "independent"]
    pixels: Literal["mask", "probability"]


class ImportSpec(TypedDict):
    """Settings of `import_predictions`, from `segunc.config.specs.import_predictions`."""

    options: ImportOptions
    seed: int
    """Whose test and validation images are predicted."""
    raw: str
    """Digest of the files, as the workflow saw them."""


def summarise(predicted: Predicted) -> dict[str, NDArray]:
    """The datasets of a samples file for one image, each with an axis of length 1 before the others.

    Masks at threshold 0.5 as packed bits, their mean as `mean_probability`, and, if the samples are probabilities, the
    maps that `segunc.learning.sampling.summarise_samples` defines. Masks alone leave no uncertainty within a sample.
    """
    samples = predicted.samples
    mean = _mean(predicted)
    masks = samples if samples.dtype == bool else samples > 0.5
    datasets: dict[str, NDArray] = {
        "samples": np.packbits(masks.reshape(len(masks), -1), axis=-1),
        "mean_probability": mean,
    }
    if samples.dtype != bool and predicted.probability is None:
        predictive, _, _ = _entropy_and_logs(mean)
        expected, log_foreground, log_background = np.mean([_entropy_and_logs(one) for one in samples], axis=0)
        # Not negative by concavity, but rounding may make it so.
        information = predictive - expected
        maps = {
            "predictive_entropy": predictive,
            "expected_entropy": expected,
            "mutual_information": np.where(information < MUTUAL_INFORMATION_FLOOR, 0, information),
            "expected_log_foreground": log_foreground,
            "expected_log_background": log_background,
        }
        datasets |= {name: values.astype(np.float16) for name, values in maps.items()}
    return {name: values[None] for name, values in datasets.items()}


def _entropy_and_logs(p: NDArray[np.float32]) -> tuple[NDArray, NDArray, NDArray]:
    """Entropy in bits, log p and log(1 - p) in nats, as `segunc.learning.sampling.entropy_and_logs`."""
    log_p, log_q = (np.log(np.maximum(side, np.float32(PROBABILITY_FLOOR))) for side in (p, 1 - p))
    return (p * log_p + (1 - p) * log_q) / np.float32(-math.log(2)), log_p, log_q


def write_imported(path: Path, data: Path, source: Path, spec: ImportSpec, what: str) -> None:
    """Writes the samples file `path` from predictions of the test images of the store `data`.

    Validation images may have predictions too, all or none of them; without them, no threshold is chosen on them.
    `what` names the work in progress lines. Raises UserError if a test image has no prediction, if a prediction is of
    no image of the dataset, or if a file cannot be used.
    """
    ids, shape = read_ids(data, spec["seed"])
    if len(ids["test"]) == 0:
        raise UserError(f"{data} has no images in its test split; change the dataset's split in the config.")
    with (
        open_predictions(source, spec["options"]["pixels"] == "probability") as predictions,
        write_atomically(path) as partial,
        create_hdf5(partial) as file,
    ):
        with_validation = _check_ids(predictions, ids, source)
        count = 0
        progress = Progress(what, len(ids["test"]))

        def tested() -> Iterator[Mapping[str, NDArray]]:
            nonlocal count
            for done, image_id in enumerate(ids["test"].tolist()):
                predicted = predictions.read(image_id, shape)
                count = count or len(predicted.samples)
                if len(predicted.samples) != count:
                    raise UserError(
                        f"{source} has {len(predicted.samples)} samples of {image_id}, but {count} of others; "
                        "give each image the same number."
                    )
                yield summarise(predicted)
                progress.update(done + 1)

        write_parts(file, tested(), len(ids["test"]))
        write_ids(file, "image_id", ids["test"])
        if with_validation:
            means = (_mean(predictions.read(image_id, shape)) for image_id in ids["val"].tolist())
            parts = ({"validation_probability": mean[None].astype(np.float16)} for mean in means)
            write_parts(file, parts, len(ids["val"]))
            write_ids(file, "validation_image_id", ids["val"])
        file.attrs["height"], file.attrs["width"] = shape
        file.attrs["draws"] = "exact" if count == 1 else spec["options"]["samples"]
        file.attrs["spec"] = json.dumps({"import": spec}, sort_keys=True)


def _mean(predicted: Predicted) -> NDArray[np.float32]:
    """The probability that is scored, (H, W): the given one, else the mean of the samples."""
    return predicted.samples.mean(axis=0, dtype=np.float32) if predicted.probability is None else predicted.probability


def _check_ids(predictions: Predictions, ids: Mapping[str, NDArray], source: Path) -> bool:
    """Whether validation images have predictions. Raises UserError if images lack one, or for predictions of others."""
    everything = [image_id for split in ids.values() for image_id in split.tolist()]
    without, others = predictions.ids(everything)
    if others:
        raise UserError(
            f"{source} has predictions of no image of the dataset: {listed(others, most=3)}; remove them, or name them "
            "as in the template of segunc export."
        )
    missing = set(without)
    absent = {split: [image_id for image_id in ids[split].tolist() if image_id in missing] for split in ("test", "val")}
    if absent["test"]:
        raise UserError(
            f"{source} has no prediction of {len(absent['test'])} of {len(ids['test'])} test images, such as "
            f"{absent['test'][0]}; add them."
        )
    if absent["val"] and len(absent["val"]) < len(ids["val"]):
        raise UserError(
            f"{source} has no prediction of {len(absent['val'])} of {len(ids['val'])} validation images, such as "
            f"{absent['val'][0]}; add them, or remove those of the others."
        )
    return bool(len(ids["val"])) and not absent["val"]

"""Scores of one image, and the two CSV files that the stages `evaluate` and `baselines` write."""

import csv
import gzip
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segunc.data.store import Images
from segunc.evaluation.predictions import Prediction
from segunc.metrics.registry import METRICS, Inputs
from segunc.metrics.uncertainty import AGREEMENTS, OUTCOMES, agreements, outcomes
from segunc.runtime.files import write_atomically

KEY = ("dataset", "model", "seed", "image_id")
IDENTITY = (*KEY, "group_id", "patient_id", "annotators", "votes", "foreground")
GROUPS = (*OUTCOMES, *AGREEMENTS)
SCORES = (
    *METRICS,
    *(f"{what}_{group}" for what in ("entropy", "pixels") for group in OUTCOMES),
    *(f"{what}_{group}" for what in ("entropy", "pixels") for group in AGREEMENTS),
)
COLUMNS = (*IDENTITY, *SCORES)
if len(set(COLUMNS)) < len(COLUMNS):
    raise ValueError("a metric is called like another column of images.csv")
HISTOGRAM_COLUMNS = (*KEY, "group", "bin", "pixels")
BINS = 20
"""Equal bins of entropy over [0, 1] bit, the last one closed."""


class Scored(NamedTuple):
    """One image of one model."""

    row: dict[str, Any]
    """COLUMNS by name."""
    histograms: dict[str, NDArray[np.int64]]
    """Pixels per bin of predictive entropy, (BINS,), for each of GROUPS; empty if there is no uncertainty."""


def score_image(dataset: str, model: str, seed: int, images: Images, index: int, prediction: Prediction) -> Scored:
    """Scores the prediction for image `index` of the test images: its row and its histograms."""
    annotations = annotations_of(images, index)
    probabilities = images.annotator_probability
    truth = None if probabilities is None else probabilities[index]
    row = identity(dataset, model, seed, images, index) | score(prediction, annotations, truth)
    return Scored(row, entropy_histograms(prediction, annotations))


def annotations_of(images: Images, index: int) -> NDArray[np.uint8]:
    """The existing annotations of image `index`, {0, 1} (A, H, W), including empty ones."""
    return images.masks[index][images.annotated[index]]


def identity(dataset: str, model: str, seed: int, images: Images, index: int) -> dict[str, Any]:
    """IDENTITY by name for image `index`."""
    annotations = annotations_of(images, index)
    return {
        "dataset": dataset,
        "model": model,
        "seed": seed,
        "image_id": images.image_id[index],
        "group_id": images.group_id[index],
        "patient_id": images.patient_id[index],
        "annotators": len(annotations),
        "votes": int(annotations.any(axis=(1, 2)).sum()),
        "foreground": float(annotations.mean()),
    }


def score(prediction: Prediction, annotations: NDArray, truth: NDArray | None) -> dict[str, float]:
    """SCORES of one image: all METRICS, and mean predictive entropy (bits) and pixel count for each of GROUPS.

    Parameters
    ----------
    prediction
        What is judged. Its mean is thresholded at > 0.5 wherever a mask is needed.
    annotations
        (A, H, W), bool or {0, 1}.
    truth
        (H, W), the true probability that an annotator marks the pixel; None if unavailable.

    Returns
    -------
    dict
        By name. NaN where undefined: metrics as their records say, the entropy of a group without pixels, and all
        entropies of a prediction without any.
    """
    inputs = inputs_of(prediction, annotations, truth)
    scores = {name: metric(inputs) for name, metric in METRICS.items()}
    entropy = prediction.uncertainty
    for group, pixels in _groups(inputs.prediction, annotations).items():
        defined = entropy is not None and pixels.any()
        mean = float(entropy[pixels].mean(dtype=np.float64)) if defined else float("nan")  # type: ignore[index]
        scores[f"entropy_{group}"] = mean
        scores[f"pixels_{group}"] = int(pixels.sum())
    return scores


def inputs_of(prediction: Prediction, annotations: NDArray, truth: NDArray | None) -> Inputs:
    """What metrics need of one image; arguments as for `score`."""
    return Inputs(
        samples=prediction.masks,
        exact=prediction.exact,
        mean=prediction.probability,
        uncertainty=prediction.uncertainty,
        annotations=annotations,
        truth=truth,
    )


def entropy_histograms(prediction: Prediction, annotations: NDArray) -> dict[str, NDArray[np.int64]]:
    """Pixels per bin of predictive entropy, (BINS,), for each of GROUPS; empty if there is no uncertainty."""
    if prediction.uncertainty is None:
        return {}
    bins = np.minimum((prediction.uncertainty * BINS).astype(np.int64), BINS - 1)
    groups = _groups(prediction.probability > 0.5, annotations)
    return {group: np.bincount(bins[pixels], minlength=BINS) for group, pixels in groups.items()}


def _groups(mask: NDArray, annotations: NDArray) -> dict[str, NDArray[np.bool_]]:
    return outcomes(mask, annotations) | agreements(annotations)


def write(files: Sequence[Path], scored: Iterable[Scored]) -> None:
    """Writes `images.csv` and `pixels.csv.gz` (non-zero bins only); equal scores give equal bytes."""
    by_name = {path.name: path for path in files}
    with (
        write_atomically(by_name["images.csv"]) as images_path,
        write_atomically(by_name["pixels.csv.gz"]) as pixels_path,
        images_path.open("w", encoding="utf-8", newline="") as images_file,
        pixels_path.open("wb") as raw,
        # Without a file name and a time, the bytes depend on the content alone.
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as compressed,
        io.TextIOWrapper(compressed, encoding="utf-8", newline="") as pixels_file,
    ):
        image_rows = csv.DictWriter(images_file, COLUMNS, lineterminator="\n")
        pixel_rows = csv.writer(pixels_file, lineterminator="\n")
        image_rows.writeheader()
        pixel_rows.writerow(HISTOGRAM_COLUMNS)
        for row, histograms in scored:
            image_rows.writerow({name: f"{v:.9g}" if isinstance(v, float) else v for name, v in row.items()})
            key = [row[name] for name in KEY]
            for group, counts in histograms.items():
                pixel_rows.writerows([*key, group, b, counts[b]] for b in np.flatnonzero(counts))

"""Scores of one image, and the two CSV files that the stages `evaluate` and `baselines` write."""

import csv
import gzip
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segunc.data.store import Images
from segunc.evaluation.predictions import Prediction
from segunc.metrics import overlap, probability, uncertainty
from segunc.metrics.ged import energy_distances
from segunc.runtime.files import write_atomically

KEY = ("dataset", "model", "seed", "image_id")
IDENTITY = (*KEY, "group_id", "patient_id", "annotators", "votes", "foreground")
METRICS = (
    *("ged_1", "ged_4", "ged_8", "ged_16", "ged_u_16", "ged_study_16", "diversity"),
    *("soft_dice_loss", "dice", "iou", "cross_entropy", "error_auroc", "truth_rmse"),
)
GROUPS = (*uncertainty.OUTCOMES, *uncertainty.AGREEMENTS)
SCORES = (
    *METRICS,
    *(f"{what}_{group}" for what in ("entropy", "pixels") for group in uncertainty.OUTCOMES),
    *(f"{what}_{group}" for what in ("entropy", "pixels") for group in uncertainty.AGREEMENTS),
)
COLUMNS = (*IDENTITY, *SCORES)
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
    """Everything that is written about the prediction for image `index` of the test images."""
    annotations = annotations_of(images, index)
    probabilities = images.annotator_probability
    truth = None if probabilities is None else probabilities[index]
    row = identity(dataset, model, seed, images, index) | score(prediction, annotations, truth)
    return Scored(row, entropy_histograms(prediction, annotations))


def annotations_of(images: Images, index: int) -> NDArray[np.uint8]:
    """The annotations of image `index` that exist, {0, 1} (A, H, W), with the empty ones of annotators who looked."""
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
    """All metrics of one image, and mean predictive entropy (bits) and pixel count for each of GROUPS.

    annotations: (A, H, W), bool or {0, 1}; truth: (H, W), the true probability that an annotator marks the pixel, or
    None if nobody knows it. The mean is thresholded at > 0.5 for `dice`, `iou`, `error_auroc` and the outcomes.
    Undefined values are NaN: `truth_rmse` without a truth; what judges a probability, without one; `error_auroc` if
    nothing or everything is wrong; the entropy of a group without pixels.
    """
    nan = float("nan")
    mask, entropy = prediction.probability > 0.5, prediction.uncertainty
    scores = energy_distances(prediction.masks, annotations, exact=prediction.exact)
    scores["soft_dice_loss"] = overlap.soft_dice_loss(prediction.probability, annotations)
    scores["dice"] = overlap.dice(mask, annotations)
    scores["iou"] = overlap.iou(mask, annotations)
    scores |= dict.fromkeys(("cross_entropy", "error_auroc", "truth_rmse"), nan)
    if entropy is not None:
        scores["cross_entropy"] = probability.cross_entropy(prediction.probability, annotations)
        scores["error_auroc"] = uncertainty.error_auroc(entropy, mask, annotations)
        if truth is not None:
            scores["truth_rmse"] = probability.truth_rmse(prediction.probability, truth)
    for group, pixels in _groups(mask, annotations).items():
        defined = entropy is not None and pixels.any()
        scores[f"entropy_{group}"] = float(entropy[pixels].mean(dtype=np.float64)) if defined else nan  # type: ignore
        scores[f"pixels_{group}"] = int(pixels.sum())
    return scores


def entropy_histograms(prediction: Prediction, annotations: NDArray) -> dict[str, NDArray[np.int64]]:
    """Pixels per bin of predictive entropy, (BINS,), for each of GROUPS; empty if there is no uncertainty."""
    if prediction.uncertainty is None:
        return {}
    bins = np.minimum((prediction.uncertainty * BINS).astype(np.int64), BINS - 1)
    groups = _groups(prediction.probability > 0.5, annotations)
    return {group: np.bincount(bins[pixels], minlength=BINS) for group, pixels in groups.items()}


def _groups(mask: NDArray, annotations: NDArray) -> dict[str, NDArray[np.bool_]]:
    return uncertainty.outcomes(mask, annotations) | uncertainty.agreements(annotations)


def write(images: Path, pixels: Path, scored: Iterable[Scored]) -> None:
    """Writes `images.csv` and `pixels.csv.gz` (non-zero bins only); the same scores give the same bytes."""
    with (
        write_atomically(images) as images_path,
        write_atomically(pixels) as pixels_path,
        images_path.open("w", encoding="utf-8", newline="") as images_file,
        pixels_path.open("wb") as raw,
        # Without a file name and a time, gzip depends on its content alone.
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

"""Scores of one image, and the four CSV files that the stages `evaluate` and `baselines` write."""

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from segunc.data.store import Images
from segunc.evaluation.predictions import Prediction, annotations_of
from segunc.level_rows import levels_of
from segunc.metrics import aggregation
from segunc.metrics.calibration import Bins
from segunc.metrics.registry import METRICS, Inputs
from segunc.metrics.uncertainty import AGREEMENTS, OUTCOMES
from segunc.runtime.files import write_atomically

KEY = ("dataset", "model", "seed", "image_id")
IDENTITY = (*KEY, "group_id", "patient_id", "annotators", "votes", "foreground")
GROUPS = (*OUTCOMES, *AGREEMENTS)
UNIONS = {"right": ("tp", "tn"), "wrong": ("fp", "fn"), "disputed": ("somewhat", "disagree")}
"""Groups that are taken together."""
CERTAIN_GROUPS = ("tp", "tn")
"""Groups whose share of certain pixels is a score."""
SCORES = (
    *METRICS,
    *aggregation.NAMES,
    *(f"{what}_{group}" for what in ("entropy", "pixels") for group in OUTCOMES),
    *(f"{what}_{group}" for what in ("entropy", "pixels") for group in AGREEMENTS),
    *(f"entropy_{union}" for union in UNIONS),
    *(f"certain_{group}" for group in CERTAIN_GROUPS),
    "pixels_predicted",
)
COLUMNS = (*IDENTITY, *SCORES)
if twice := [name for name in METRICS if COLUMNS.count(name) > 1]:
    raise ValueError(f"the metric {twice[0]} is called like another column of images.csv")
HISTOGRAM_COLUMNS = (*KEY, "group", "bin", "pixels")
BINS = 20
"""Equal bins of entropy over [0, 1] bit, the last one closed."""
CALIBRATION_COLUMNS = (*KEY, "bin", *Bins._fields)
FEWEST_PIXELS = 10
"""Of a group, for its mean entropy to be defined: a mean of fewer is noise, but would weigh as much as any other."""
CERTAIN = 0.05
"""In bits: a pixel of lower predictive entropy is certain. This is the lowest bin of entropy."""


class Scored(NamedTuple):
    """One image of one model."""

    row: dict[str, Any]
    """COLUMNS by name."""
    histograms: dict[str, NDArray[np.int64]]
    """Pixels per bin of predictive entropy, (BINS,), for each of GROUPS; empty if there is no uncertainty."""
    calibration: Bins | None
    """None if there is no probability."""
    levels: dict[str, Any] | None = None
    """COLUMNS by name of the level sets of the mean probability; None for baselines."""


def score_image(dataset: str, model: str, seed: int, images: Images, index: int, prediction: Prediction) -> Scored:
    """Scores the prediction of a baseline for image `index` of the test images."""
    inputs = _inputs_of_image(images, index, prediction)
    row = identity(dataset, model, seed, images, index) | score(inputs)
    return Scored(row, entropy_histograms(inputs), inputs.bins)


def score_with_levels(
    dataset: str, model: str, seed: int, images: Images, index: int, prediction: Prediction
) -> Scored:
    """Scores the prediction of a model for image `index` of the test images, and the level sets of its mean."""
    inputs = _inputs_of_image(images, index, prediction)
    row = identity(dataset, model, seed, images, index) | score(inputs)
    of_levels = {"model": levels_of(model), **level_scores(inputs)}
    return Scored(row, entropy_histograms(inputs), inputs.bins, row | of_levels)


def _inputs_of_image(images: Images, index: int, prediction: Prediction) -> Inputs:
    truths = images.annotator_probability
    return inputs_of(prediction, annotations_of(images, index), None if truths is None else truths[index])


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


def inputs_of(prediction: Prediction, annotations: NDArray, truth: NDArray | None) -> Inputs:
    """What metrics need of one image.

    Parameters
    ----------
    prediction
        What is judged.
    annotations
        (A, H, W), bool or {0, 1}.
    truth
        (H, W), the true probability that an annotator marks the pixel; None if unavailable.
    """
    return Inputs(
        samples=prediction.masks,
        exact=prediction.exact,
        mean=prediction.probability,
        uncertainty=prediction.uncertainty,
        expected_entropy=prediction.expected_entropy,
        mutual_information=prediction.mutual_information,
        log_foreground=prediction.log_foreground,
        log_background=prediction.log_background,
        cut=prediction.cut,
        annotations=annotations,
        truth=truth,
    )


def score(inputs: Inputs) -> dict[str, float]:
    """SCORES of one image by name. NaN where undefined, as docs/measures.md says of each."""
    of_metrics = {name: metric(inputs) for name, metric in METRICS.items()}
    by_name = of_metrics | _aggregated(inputs) | _of_groups(inputs)
    return {name: by_name[name] for name in SCORES}


def level_scores(inputs: Inputs) -> dict[str, float]:
    """Scores of the level sets of the mean by name: those of SCORES that depend on more than the mean.

    Level sets have no probabilities of their own, so what is made of these is NaN.
    """
    no_map = [name for name in aggregation.NAMES if name.endswith(("_expected", "_mi"))]
    return {
        **{name: metric(inputs.levels) for name, metric in METRICS.items() if metric.judges_samples},
        **dict.fromkeys(no_map, float("nan")),
        "u_pairwise": aggregation.pairwise(inputs.levels.distances),
    }


def _aggregated(inputs: Inputs) -> dict[str, float]:
    """Each map of uncertainty as one number in several ways, and the disagreement of the samples."""
    maps = {
        "entropy": inputs.uncertainty,
        "expected": inputs.expected_entropy,
        "mi": inputs.mutual_information,
    }
    of_maps = {
        f"u_{how}_{name}": float("nan") if values is None else aggregate(values, inputs.prediction)
        for how, aggregate in aggregation.AGGREGATIONS.items()
        for name, values in maps.items()
    }
    return {**of_maps, "u_pairwise": aggregation.pairwise(inputs.distances)}


def _of_groups(inputs: Inputs) -> dict[str, float]:
    """Pixels and mean predictive entropies (bits) of GROUPS and UNIONS, shares of certain pixels, size of the mask."""
    counts = {group: int(pixels.sum()) for group, pixels in inputs.groups.items()}
    scores: dict[str, float] = {f"pixels_{group}": count for group, count in counts.items()}
    scores["pixels_predicted"] = int(inputs.prediction.sum())
    if (entropy := inputs.uncertainty) is None:
        undefined = [f"entropy_{group}" for group in (*GROUPS, *UNIONS)] + [f"certain_{g}" for g in CERTAIN_GROUPS]
        return scores | dict.fromkeys(undefined, float("nan"))
    sums = {group: float(entropy[pixels].sum(dtype=np.float64)) for group, pixels in inputs.groups.items()}
    for group, count in counts.items():
        scores[f"entropy_{group}"] = sums[group] / count if count >= FEWEST_PIXELS else float("nan")
    for union, groups in UNIONS.items():
        scores[f"entropy_{union}"] = _ratio(sum(sums[group] for group in groups), sum(counts[g] for g in groups))
    for group in CERTAIN_GROUPS:
        certain = int((entropy[inputs.groups[group]] < CERTAIN).sum())
        scores[f"certain_{group}"] = _ratio(certain, counts[group])
    return scores


def _ratio(total: float, count: int) -> float:
    return total / count if count else float("nan")


def entropy_histograms(inputs: Inputs) -> dict[str, NDArray[np.int64]]:
    """Pixels per bin of predictive entropy, (BINS,), for each of GROUPS; empty if there is no uncertainty."""
    if inputs.uncertainty is None:
        return {}
    bins = np.minimum((inputs.uncertainty * BINS).astype(np.int64), BINS - 1)
    return {group: np.bincount(bins[pixels], minlength=BINS) for group, pixels in inputs.groups.items()}


def write(files: Sequence[Path], scored: Iterable[Scored]) -> None:
    """Writes `images.csv`, `levels.csv`, `pixels.csv.gz` and `calibration.csv.gz` (bins with pixels only); equal scores
    give equal bytes."""
    by_name = {path.name: path for path in files}
    with (
        _new_csv(by_name["images.csv"]) as images_file,
        _new_csv(by_name["levels.csv"]) as levels_file,
        _new_csv(by_name["pixels.csv.gz"]) as pixels_file,
        _new_csv(by_name["calibration.csv.gz"]) as calibration_file,
    ):
        image_rows, level_rows = (csv.DictWriter(f, COLUMNS, lineterminator="\n") for f in (images_file, levels_file))
        pixel_rows = csv.writer(pixels_file, lineterminator="\n")
        calibration_rows = csv.writer(calibration_file, lineterminator="\n")
        image_rows.writeheader()
        level_rows.writeheader()
        pixel_rows.writerow(HISTOGRAM_COLUMNS)
        calibration_rows.writerow(CALIBRATION_COLUMNS)
        for row, histograms, bins, of_levels in scored:
            image_rows.writerow(_as_text(row))
            if of_levels is not None:
                level_rows.writerow(_as_text(of_levels))
            key = [row[name] for name in KEY]
            for group, counts in histograms.items():
                pixel_rows.writerows([*key, group, b, counts[b]] for b in np.flatnonzero(counts))
            if bins is not None:
                filled = np.flatnonzero(bins.pixels)
                calibration_rows.writerows(
                    [*key, b, bins.pixels[b], f"{bins.probability[b]:.9g}", f"{bins.frequency[b]:.9g}"] for b in filled
                )


def _as_text(row: dict[str, Any]) -> dict[str, Any]:
    return {name: f"{value:.9g}" if isinstance(value, float) else value for name, value in row.items()}


@contextmanager
def _new_csv(path: Path) -> Iterator[TextIO]:
    """Writes a CSV file, packed if its name ends in `.gz`."""
    with write_atomically(path) as beside, beside.open("wb") as raw:
        if path.suffix != ".gz":
            with io.TextIOWrapper(raw, encoding="utf-8", newline="") as file:
                yield file
            return
        # Without a file name and a time, the bytes depend on the content alone.
        with (
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as compressed,
            io.TextIOWrapper(compressed, encoding="utf-8", newline="") as file,
        ):
            yield file

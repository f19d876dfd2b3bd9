"""Every table of the study, from the scores of all models and the stores of all datasets.

Seeds are averaged per image first, over those in which the value is defined. Then each number is a mean over images,
with an interval from a bootstrap of patients (`segunc.statistics`), and images without a value are counted.

Scores may be missing because a job failed. The numbers are then of what is there, and the tables say what is not.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd

from segunc.data.store import read_attributes
from segunc.evaluation.scores import BINS, GROUPS, METRICS, SCORES
from segunc.evaluation.statistics import clustered_mean, holm, paired_comparison
from segunc.runtime.errors import UserError

GED = tuple(metric for metric in METRICS if metric.startswith("ged"))
COMPARED = ("ged_16", "ged_u_16", "dice", "cross_entropy")
INTERVAL = ("mean", "ci_low", "ci_high")
COUNTS = ("n_seeds", "n_images", "n_patients")
REFERENCE = "baseline_threshold"
"""The baseline that every model is compared with: who claims that a probabilistic model is needed must beat it."""
FROM_DATA = ("baseline_empty", "baseline_blind", "baseline_annotator", "baseline_oracle")
"""The baselines that need the data alone: one job, called `baselines`, scores them all."""
MISSING = ["dataset", "model", "seed", "why"]

MEANING = {
    "ged_1": "squared generalised energy distance (d = 1 - IoU) of 1 draw, V-statistic; lower is better",
    "ged_4": "the same of 4 draws",
    "ged_8": "the same of 8 draws",
    "ged_16": "the same of 16 draws; a perfect model with independent draws gets 1/16 of the annotators' diversity",
    "ged_u_16": "the same without bias (U-statistic); a perfect model gets 0 on average",
    "ged_study_16": "the estimator of Czolbe et al. 2021 in expectation, for comparison with published numbers only",
    "diversity": "mean distance between two of the 16 draws; better the closer to the annotators' (`baseline_oracle`)",
    "soft_dice_loss": "1 - soft Dice of the mean probability with each annotator; lower is better",
    "dice": "Dice of the mean probability, thresholded at 0.5, with each annotator; higher is better",
    "iou": "IoU of the same; higher is better",
    "cross_entropy": "cross-entropy of the mean probability with each annotator, in nats per pixel; lower is better",
    "error_auroc": "AUROC of the predictive entropy as a detector of wrong pixels, per image; higher is better",
    "truth_rmse": "root mean squared difference of the mean probability and the annotators' true one; lower is better",
}
WITHOUT_PROBABILITY = {
    model: f"the masks of {model} are no probabilities"
    for model in ("baseline_empty", "baseline_blind", "baseline_annotator")
}
UNDEFINED = {
    "error_auroc": "no pixel of the thresholded mean is wrong, or all are",
    "entropy_tp": "no true positive pixel",
    "entropy_fp": "no false positive pixel",
    "entropy_fn": "no false negative pixel",
    "entropy_tn": "no true negative pixel",
    "entropy_agree": "no pixel on which all annotators agree",
    "entropy_somewhat": "no pixel on which a minority of the annotators disagrees",
    "entropy_disagree": "no pixel on which the annotators are split in halves",
}


class Cell(NamedTuple):
    """The scores of one model on one dataset."""

    dataset: str
    model: str
    runs: pd.DataFrame
    """A row per seed and image, as in the `images.csv` files."""
    images: pd.DataFrame
    """A row per image, indexed by `image_id`: `patient_id`, `votes`, and SCORES averaged over the seeds."""


def read_cells(paths: Sequence[Path], datasets: Sequence[str]) -> list[Cell]:
    """The cells of all `images.csv` files, in the order of `datasets`, then of the models' first appearance.

    Raises UserError if a file is of none of the datasets.
    """
    texts = dict.fromkeys(("dataset", "model", "image_id", "group_id", "patient_id"), str)
    # An image may be called "NA"; a score that is undefined says nan.
    undefined = {score: ["nan"] for score in SCORES}
    runs: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for path in paths:
        frame = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=undefined)  # type: ignore[arg-type]
        for (dataset, model), part in frame.groupby(["dataset", "model"], sort=False):
            if dataset not in datasets:
                raise UserError(f"{path} is of the dataset {dataset}, whose store is not given; name it in --data.")
            runs.setdefault((str(dataset), str(model)), []).append(part)
    cells = []
    for dataset, model in sorted(runs, key=lambda cell: datasets.index(cell[0])):
        together = pd.concat(runs[dataset, model], ignore_index=True)
        by_image = together.groupby("image_id", sort=False)
        images = by_image[["patient_id", "votes"]].first().join(by_image[list(SCORES)].mean())
        cells.append(Cell(dataset, model, together, images))
    return cells


def missing_scores(missing: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """`missing.csv`: a row per model, baseline and seed that a missing job should have scored.

    missing: `step` (the job's rule), `dataset`, `model`, `seed` and `why` of each of these jobs.
    """
    rows = [
        {**entry, "model": model, "seed": pd.NA if entry["seed"] == "" else entry["seed"]}
        for entry in missing
        for model in {"baselines": FROM_DATA, "baseline_threshold": [REFERENCE]}.get(entry["step"], [entry["model"]])
    ]
    return pd.DataFrame(rows, columns=MISSING).astype({"seed": "Int64"})


def with_empty_cells(
    cells: Sequence[Cell], missing: pd.DataFrame, datasets: Sequence[str], models: Sequence[str]
) -> list[Cell]:
    """The cells, with an empty one for each that is missing as a whole, in the order of the tables.

    missing: `missing_scores`. The order is that of `datasets`, within it that of `models`, then the baselines; what is
    not named there comes after, as it appears.
    """
    runs = pd.DataFrame(columns=["seed", *SCORES], dtype=float)
    images = pd.DataFrame(columns=["patient_id", "votes", *SCORES], dtype=float)
    names = dict.fromkeys(zip(missing["dataset"], missing["model"], strict=True))
    there = {(cell.dataset, cell.model): cell for cell in cells}
    every = there | {name: Cell(*name, runs, images) for name in names if name not in there}
    in_order = (
        dict.fromkeys([*datasets, *(dataset for dataset, _ in every)]),
        dict.fromkeys([*models, *(model for _, model in every if not is_baseline(model)), *FROM_DATA, REFERENCE]),
    )
    return [every[name] for name in product(*in_order) if name in every]


def metrics_of(cells: Sequence[Cell], dataset: str) -> list[str]:
    """METRICS that apply to a dataset: all, but `truth_rmse` where the truth is not known (or all cells are empty)."""
    known = any(cell.images["truth_rmse"].notna().any() for cell in cells if cell.dataset == dataset)
    return [metric for metric in METRICS if metric != "truth_rmse" or known]


def summary(cells: Sequence[Cell], spec: dict[str, Any]) -> pd.DataFrame:
    """`summary.csv`: a row per dataset, model and metric."""
    rows = []
    for cell in cells:
        for metric in metrics_of(cells, cell.dataset):
            seed_means = cell.runs.groupby("seed")[metric].mean()
            rows.append({**_mean(cell, metric, spec), "metric": metric, "seed_sd": seed_means.std()})
    return pd.DataFrame(rows, columns=["dataset", "model", "metric", *INTERVAL, *COUNTS, "n_undefined", "seed_sd"])


def uncertainty_by(kind: str, groups: Sequence[str], cells: Sequence[Cell], spec: dict[str, Any]) -> pd.DataFrame:
    """`uncertainty_by_{kind}.csv`: predictive entropy of each group of pixels.

    Each image has one value, the mean over its pixels of the group; mean and quartiles are over images. `n_pixels`
    counts the pixels of all seeds. Baselines without any predictive entropy are left out.
    """
    quartiles = {"q25": 0.25, "median": 0.5, "q75": 0.75}
    rows = []
    for cell in cells:
        if cell.model in WITHOUT_PROBABILITY:
            continue
        for group in groups:
            values = cell.images[f"entropy_{group}"]
            quantiles = {name: values.quantile(share) for name, share in quartiles.items()}
            pixels = int(cell.runs[f"pixels_{group}"].sum())
            rows.append({**_mean(cell, f"entropy_{group}", spec), kind: group, **quantiles, "n_pixels": pixels})
    columns = ["dataset", "model", kind, *INTERVAL, *quartiles, *COUNTS, "n_pixels", "n_undefined"]
    return pd.DataFrame(rows, columns=columns)


def _mean(cell: Cell, score: str, spec: dict[str, Any]) -> dict[str, Any]:
    """What the rows of all tables of means have in common."""
    mean = clustered_mean(cell.images[score], cell.images["patient_id"], **spec)
    return {"dataset": cell.dataset, "model": cell.model, "n_seeds": cell.runs["seed"].nunique(), **mean._asdict()}


def entropy_histograms(paths: Sequence[Path], cells: Sequence[Cell]) -> pd.DataFrame:
    """`entropy_histograms.csv`: share of a group's pixels, of all images and seeds, in each bin of predictive entropy.

    The shares of a group add up to 1; a group without pixels is left out, and so is an empty cell.
    """
    key = ["dataset", "model", "group", "bin"]
    counts = {(cell.dataset, cell.model, group): np.zeros(BINS) for cell in cells for group in GROUPS}
    for path in paths:
        frame = pd.read_csv(path, usecols=[*key, "pixels"], keep_default_na=False)
        for dataset, model, group, b, pixels in frame.groupby(key, as_index=False)["pixels"].sum().to_numpy():
            counts[dataset, model, group][b] += pixels
    rows = [
        (*cell_and_group, b / BINS, (b + 1) / BINS, pixels / total)
        for cell_and_group, histogram in counts.items()
        if (total := histogram.sum())
        for b, pixels in enumerate(histogram)
    ]
    return pd.DataFrame(rows, columns=["dataset", "model", "group", "entropy_low", "entropy_high", "share"])


def ged_by_votes(cells: Sequence[Cell], spec: dict[str, Any]) -> pd.DataFrame:
    """`ged_by_votes.csv`: the energy distances by the number of annotators who marked something on the image.

    An empty cell has no rows, as it has no votes.
    """
    rows = []
    for cell in cells:
        for votes, images in cell.images.groupby("votes"):
            rows += [
                {**_mean(cell._replace(images=images), metric, spec), "votes": votes, "metric": metric}
                for metric in GED
            ]
    return pd.DataFrame(rows, columns=["dataset", "model", "votes", "metric", *INTERVAL, *COUNTS])


def comparisons(cells: Sequence[Cell], spec: dict[str, Any]) -> pd.DataFrame:
    """`comparisons.csv`: differences model_a - model_b, paired by image, of all pairs of models and of each model with
    REFERENCE, as far as they have scores. `p_holm` is corrected for all comparisons of one dataset in one metric that
    are made."""
    columns = ("dataset", "metric", "model_a", "model_b", "difference", "ci_low", "ci_high", "p", "p_holm")
    rows = []
    for dataset in dict.fromkeys(cell.dataset for cell in cells):
        images = {cell.model: cell.images for cell in cells if cell.dataset == dataset and len(cell.images)}
        models = [model for model in images if not is_baseline(model)]
        pairs = list(combinations(models, 2))
        if REFERENCE in images:
            pairs += [(model, REFERENCE) for model in models]
        for metric in COMPARED:
            family = []
            for a, b in pairs:
                first, second = images[a][metric].align(images[b][metric], join="inner")
                result = paired_comparison(first, second, images[a].loc[first.index, "patient_id"], **spec)
                family.append({"dataset": dataset, "metric": metric, "model_a": a, "model_b": b, **result._asdict()})
            for row, adjusted in zip(family, holm([row["p"] for row in family]), strict=True):
                rows.append({**row, "p_holm": adjusted})
    return pd.DataFrame(rows, columns=[*columns, "n_images", "n_patients"])


def exclusions(stores: Sequence[Path], cells: Sequence[Cell]) -> pd.DataFrame:
    """`exclusions.csv`: images that `prepare` dropped (`what` is `images`, no model), and test images on which a score
    is undefined in every seed (`what` is the score), each with a reason."""
    rows = []
    for store in stores:
        dropped = read_attributes(store)["exclusions"]
        with h5py.File(store) as file:
            total = len(file["image_id"]) + sum(dropped.values())
        rows += [(store.stem, "", "images", reason, count, total) for reason, count in dropped.items()]
        for cell in cells:
            if cell.dataset != store.stem:
                continue
            for score in (*metrics_of(cells, cell.dataset), *(f"entropy_{group}" for group in GROUPS)):
                count = int(cell.images[score].isna().sum())
                if count:
                    reason = _why_undefined(cell.model, score)
                    rows.append((cell.dataset, cell.model, score, reason, count, len(cell.images)))
    return pd.DataFrame(rows, columns=["dataset", "model", "what", "reason", "n_excluded", "n_total"])


def _why_undefined(model: str, score: str) -> str:
    judges_probability = score in UNDEFINED or score in ("cross_entropy", "truth_rmse")
    if judges_probability and model in WITHOUT_PROBABILITY:
        return WITHOUT_PROBABILITY[model]
    if model == "baseline_annotator":
        return "the image has one annotator only"
    return UNDEFINED.get(score, "the score is not a number")


def is_baseline(model: str) -> bool:
    return model.startswith("baseline_")

"""Every table of the main grid, from the scores of all models and the stores of all datasets.

Seeds are averaged per image first, over those in which the value is defined. Then each number is a mean over images
with an interval from a bootstrap of patients (`segunc.evaluation.statistics`), and images without a value are counted.

Scores may be missing because a job failed. Statistics are then computed from the available scores, and the missing ones
are listed.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pandas as pd

from segunc.data.hdf5 import open_hdf5
from segunc.data.result_csv import open_csv
from segunc.data.store import read_attributes
from segunc.evaluation.scores import BINS, COLUMNS, GROUPS, SCORES
from segunc.evaluation.statistics import clustered_mean, holm, paired_comparison
from segunc.metrics.registry import COMPARED, ENERGY_DISTANCES, METRICS
from segunc.metrics.uncertainty import AGREEMENTS, OUTCOMES
from segunc.runtime.errors import UserError

INTERVAL = ("mean", "ci_low", "ci_high")
COUNTS = ("n_seeds", "n_images", "n_patients")
REFERENCE = "baseline_threshold"
"""The baseline that every model is compared with: a probabilistic model is needed only if it beats this one."""
FROM_DATA = ("baseline_empty", "baseline_blind", "baseline_annotator", "baseline_oracle")
"""The baselines that need the data alone; the step `baselines` scores them all."""
MISSING = ["dataset", "model", "seed", "why"]

WITHOUT_PROBABILITY = {
    model: f"the masks of {model} are no probabilities"
    for model in ("baseline_empty", "baseline_blind", "baseline_annotator")
}
"""The models without predictive entropy, and why metrics that judge a probability are undefined for them."""
UNDEFINED = {
    **{name: metric.undefined for name, metric in METRICS.items() if metric.undefined},
    **{f"entropy_{group}": f"no {pixel}" for group, pixel in {**OUTCOMES, **AGREEMENTS}.items()},
}
"""On which images a score is NaN, by score."""


class Bootstrap(TypedDict):
    """How intervals are computed."""

    resamples: int
    confidence: float
    seed: int


class MissingJob(TypedDict):
    """A job whose scores are missing; `model` and `seed` are empty text where the job has none."""

    step: str
    dataset: str
    model: str
    seed: int | str
    why: str


class TabulateSpec(TypedDict):
    """The spec of the step `tabulate`."""

    statistics: Bootstrap
    datasets: list[str]
    models: list[str]
    seeds: list[int]
    threshold: bool
    """Whether `baseline_threshold` is scored."""
    missing: list[MissingJob]


class CellScores(NamedTuple):
    """The scores of one model on one dataset."""

    dataset: str
    model: str
    runs: pd.DataFrame
    """A row per seed and image, as in the `images.csv` files."""
    images: pd.DataFrame
    """A row per image, indexed by `image_id`: `patient_id`, `votes`, and SCORES averaged over the seeds."""


def read_cells(paths: Sequence[Path], datasets: Sequence[str]) -> list[CellScores]:
    """The cells of all `images.csv` files, in the order of `datasets`, then of the models' first appearance.

    Raises UserError if a file is damaged (`open_csv`) or of none of the datasets.
    """
    texts = dict.fromkeys(("dataset", "model", "image_id", "group_id", "patient_id"), str)
    kinds = {**texts, **dict.fromkeys(SCORES, float)}
    # An image may be called "NA"; an undefined score is `nan`.
    undefined = {score: ["nan"] for score in SCORES}
    runs: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for path in paths:
        with open_csv(path) as file:
            frame = pd.read_csv(file, usecols=COLUMNS, dtype=kinds, keep_default_na=False, na_values=undefined)  # type: ignore[arg-type,call-overload]
        for (dataset, model), part in frame.groupby(["dataset", "model"], sort=False):
            if dataset not in datasets:
                raise UserError(f"{path} is of the dataset {dataset}, whose store is not given; name it in --data.")
            runs.setdefault((str(dataset), str(model)), []).append(part)
    cells = []
    for dataset, model in sorted(runs, key=lambda cell: datasets.index(cell[0])):
        together = pd.concat(runs[dataset, model], ignore_index=True)
        by_image = together.groupby("image_id", sort=False)
        images = by_image[["patient_id", "votes"]].first().join(by_image[list(SCORES)].mean())
        cells.append(CellScores(dataset, model, together, images))
    return cells


def missing_scores(missing: Sequence[MissingJob]) -> pd.DataFrame:
    """`missing.csv`: a row per model, baseline and seed that a missing job should have scored."""
    rows = [
        {**entry, "model": model, "seed": pd.NA if entry["seed"] == "" else entry["seed"]}
        for entry in missing
        for model in {"baselines": FROM_DATA, "baseline_threshold": [REFERENCE]}.get(entry["step"], [entry["model"]])
    ]
    return pd.DataFrame(rows, columns=MISSING).astype({"seed": "Int64"})


def with_empty_cells(
    cells: Sequence[CellScores], missing: pd.DataFrame, datasets: Sequence[str], models: Sequence[str]
) -> list[CellScores]:
    """The cells, with an empty one for each that is missing as a whole, in the order of the tables.

    missing: `missing_scores`. Cells are in the order of `datasets`, then of `models`, then of the baselines; those of
    other datasets and models come after, in the order in which they appear.
    """
    runs = pd.DataFrame(columns=["seed", *SCORES], dtype=float)
    images = pd.DataFrame(columns=["patient_id", "votes", *SCORES], dtype=float)
    names = dict.fromkeys(zip(missing["dataset"], missing["model"], strict=True))
    there = {(cell.dataset, cell.model): cell for cell in cells}
    every = there | {name: CellScores(*name, runs, images) for name in names if name not in there}
    in_order = (
        dict.fromkeys([*datasets, *(dataset for dataset, _ in every)]),
        dict.fromkeys([*models, *(model for _, model in every if not is_baseline(model)), *FROM_DATA, REFERENCE]),
    )
    return [every[name] for name in product(*in_order) if name in every]


def metrics_of(cells: Sequence[CellScores], dataset: str) -> list[str]:
    """METRICS that apply to a dataset: all but those that need a truth where none is known (or all cells are empty)."""
    own = [cell.images for cell in cells if cell.dataset == dataset]
    return [
        name
        for name, metric in METRICS.items()
        if "truth" not in metric.needs or any(images[name].notna().any() for images in own)
    ]


def summary(cells: Sequence[CellScores], bootstrap: Bootstrap) -> pd.DataFrame:
    """`summary.csv`: a row per dataset, model and metric."""
    rows = []
    for cell in cells:
        for metric in metrics_of(cells, cell.dataset):
            seed_means = cell.runs.groupby("seed")[metric].mean()
            rows.append({**_mean(cell, metric, bootstrap), "metric": metric, "seed_sd": seed_means.std()})
    return pd.DataFrame(rows, columns=["dataset", "model", "metric", *INTERVAL, *COUNTS, "n_undefined", "seed_sd"])


def uncertainty_by(kind: str, groups: Iterable[str], cells: Sequence[CellScores], bootstrap: Bootstrap) -> pd.DataFrame:
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
            rows.append({**_mean(cell, f"entropy_{group}", bootstrap), kind: group, **quantiles, "n_pixels": pixels})
    columns = ["dataset", "model", kind, *INTERVAL, *quartiles, *COUNTS, "n_pixels", "n_undefined"]
    return pd.DataFrame(rows, columns=columns)


def _mean(cell: CellScores, score: str, bootstrap: Bootstrap) -> dict[str, Any]:
    """The columns that all tables of means share."""
    mean = clustered_mean(cell.images[score], cell.images["patient_id"], **bootstrap)
    return {"dataset": cell.dataset, "model": cell.model, "n_seeds": cell.runs["seed"].nunique(), **mean._asdict()}


def entropy_histograms(paths: Sequence[Path], cells: Sequence[CellScores]) -> pd.DataFrame:
    """`entropy_histograms.csv`: share of a group's pixels, of all images and seeds, in each bin of predictive entropy.

    The shares of a group add up to 1; a group without pixels is left out, and so is an empty cell.
    """
    key = ["dataset", "model", "group", "bin"]
    ids = dict.fromkeys(("dataset", "model"), str)
    counts = {(cell.dataset, cell.model, group): np.zeros(BINS) for cell in cells for group in GROUPS}
    for path in paths:
        with open_csv(path) as file:
            frame = pd.read_csv(file, usecols=[*key, "pixels"], dtype=ids, keep_default_na=False)  # type: ignore[arg-type,call-overload]
        for dataset, model, group, b, pixels in frame.groupby(key, as_index=False)["pixels"].sum().to_numpy():
            counts[dataset, model, group][b] += pixels
    rows = [
        (*cell_and_group, b / BINS, (b + 1) / BINS, pixels / total)
        for cell_and_group, histogram in counts.items()
        if (total := histogram.sum())
        for b, pixels in enumerate(histogram)
    ]
    return pd.DataFrame(rows, columns=["dataset", "model", "group", "entropy_low", "entropy_high", "share"])


def ged_by_votes(cells: Sequence[CellScores], bootstrap: Bootstrap) -> pd.DataFrame:
    """`ged_by_votes.csv`: the energy distances by the number of annotators who mark something on the image (`votes`).

    An empty cell has no images, so it has no rows.
    """
    rows = []
    for cell in cells:
        for votes, images in cell.images.groupby("votes"):
            rows += [
                {**_mean(cell._replace(images=images), metric, bootstrap), "votes": votes, "metric": metric}
                for metric in ENERGY_DISTANCES
            ]
    return pd.DataFrame(rows, columns=["dataset", "model", "votes", "metric", *INTERVAL, *COUNTS])


def comparisons(cells: Sequence[CellScores], bootstrap: Bootstrap) -> pd.DataFrame:
    """`comparisons.csv`: differences model_a - model_b, paired by image, in each of COMPARED.

    Of all pairs of models, and of each model with REFERENCE, as far as they have scores. `p_holm` is corrected for all
    comparisons that are made of one dataset in one metric.
    """
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
                result = paired_comparison(first, second, images[a].loc[first.index, "patient_id"], **bootstrap)
                family.append({"dataset": dataset, "metric": metric, "model_a": a, "model_b": b, **result._asdict()})
            for row, adjusted in zip(family, holm([row["p"] for row in family]), strict=True):
                rows.append({**row, "p_holm": adjusted})
    return pd.DataFrame(rows, columns=[*columns, "n_images", "n_patients"])


def exclusions(stores: Sequence[Path], cells: Sequence[CellScores]) -> pd.DataFrame:
    """`exclusions.csv`: images that `prepare` dropped (`what` is `images`, no model), and test images on which a score
    is undefined in every seed (`what` is the score), each with a reason."""
    rows = []
    for store in stores:
        dropped = read_attributes(store)["exclusions"]
        with open_hdf5(store) as file:
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
    judges_probability = score not in METRICS or METRICS[score].judges_probability
    if judges_probability and model in WITHOUT_PROBABILITY:
        return WITHOUT_PROBABILITY[model]
    if model == "baseline_annotator":
        return "the image has one annotator only"
    return UNDEFINED.get(score, "the score is not a number")


def is_baseline(model: str) -> bool:
    return model.startswith("baseline_")

"""The tables of means and differences of the main grid, from the scores of all models and the stores of all datasets.

Each number is the mean over the images of a seed, then over seeds, and its interval holds for new patients and new
trainings (`segunc.evaluation.statistics`). Images without a value are counted.

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
from segunc.evaluation.scores import BINS, COLUMNS, FEWEST_PIXELS, GROUPS, SCORES
from segunc.evaluation.statistics import METHOD, Estimate, Units, holm, two_way
from segunc.level_rows import is_levels, levels_of
from segunc.metrics.ged import SIZES, STUDY_SIZE
from segunc.metrics.registry import COMPARED, ENERGY_DISTANCES, METRICS
from segunc.metrics.uncertainty import AGREEMENTS, OUTCOMES
from segunc.runtime.errors import UserError

INTERVAL = ("mean", "ci_low", "ci_high")
COUNTS = ("scope", "n_seeds", "n_images", "n_patients", "effective_patients")
BASELINES = ("baseline_empty", "baseline_blind", "baseline_annotator", "baseline_readings")
"""The step `baselines` scores them all."""
BESIDE_LEVELS = "ged_u"
"""The metric in which models and level sets are compared with the level sets of the plain U-Net."""
GAIN = "coupling_gain"
"""The metric in which models are compared with their own level sets."""
MISSING = ["dataset", "model", "seed", "why"]
IMAGE = ["dataset", "seed", "image_id", "group_id", "patient_id", "annotators", "votes", "foreground"]
"""What all models' rows of an image have in common."""

WITHOUT_PROBABILITY = {
    model: f"the masks of {model} are no probabilities"
    for model in ("baseline_empty", "baseline_blind", "baseline_annotator")
}
"""The models without predictive entropy, and why metrics that judge a probability are undefined for them."""
UNDEFINED = {
    **{name: metric.undefined for name, metric in METRICS.items() if metric.undefined},
    **{
        f"entropy_{group}": f"fewer than {FEWEST_PIXELS} {pixel.replace('pixel', 'pixels')}"
        for group, pixel in {**OUTCOMES, **AGREEMENTS}.items()
    },
}
"""On which images a score is NaN, by score."""


class Statistics(TypedDict):
    """How intervals are computed."""

    confidence: float


class MissingJob(TypedDict):
    """A job whose scores are missing; `model` is empty text where the job has none."""

    step: str
    dataset: str
    model: str
    seed: int
    why: str


class TabulateSpec(TypedDict):
    """The spec of the step `tabulate`."""

    statistics: Statistics
    datasets: list[str]
    models: list[str]
    unet: str
    """Id of the plain U-Net; empty if there is none."""
    missing: list[MissingJob]


class CellScores(NamedTuple):
    """The scores of one model on one dataset."""

    dataset: str
    model: str
    runs: pd.DataFrame
    """A row per seed and image, as in the `images.csv` files."""


def read_cells(paths: Sequence[Path], datasets: Sequence[str]) -> list[CellScores]:
    """The cells of `images.csv` and `levels.csv` files, in the order of `datasets`, then of first appearance.

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
    return [
        CellScores(dataset, model, pd.concat(runs[dataset, model], ignore_index=True))
        for dataset, model in sorted(runs, key=lambda cell: datasets.index(cell[0]))
    ]


def missing_scores(missing: Sequence[MissingJob]) -> pd.DataFrame:
    """`missing.csv`: a row per model, baseline and seed that a missing job should have scored.

    The level sets of a model are missing with it.
    """
    rows = [
        {**entry, "model": model}
        for entry in missing
        for model in (BASELINES if entry["step"] == "baselines" else [entry["model"]])
    ]
    return pd.DataFrame(rows, columns=MISSING)


def with_empty_cells(
    cells: Sequence[CellScores], missing: pd.DataFrame, datasets: Sequence[str], models: Sequence[str]
) -> list[CellScores]:
    """The cells, with an empty one for each that is missing as a whole, in the order of the tables.

    missing: `missing_scores`. Cells are in the order of `datasets`, then of `models`, their level sets, the baselines;
    those of other datasets and models come after, in the order in which they appear.
    """
    runs = pd.DataFrame(columns=COLUMNS).astype(dict.fromkeys(SCORES, float))
    lost = [(str(dataset), str(model)) for dataset, model in zip(missing["dataset"], missing["model"], strict=True)]
    lost += [(dataset, levels_of(model)) for dataset, model in lost if is_model(model)]
    there = {(cell.dataset, cell.model): cell for cell in cells}
    every = there | {name: CellScores(*name, runs) for name in lost if name not in there}
    of_models = dict.fromkeys([*models, *(model for _, model in every if is_model(model))])
    in_order = (
        dict.fromkeys([*datasets, *(dataset for dataset, _ in every)]),
        [*of_models, *map(levels_of, of_models), *BASELINES],
    )
    return [every[name] for name in product(*in_order) if name in every]


def without_levels(cells: Sequence[CellScores]) -> list[CellScores]:
    """The cells of models and baselines: for tables of what level sets share with their model."""
    return [cell for cell in cells if not is_levels(cell.model)]


def metrics_of(cells: Sequence[CellScores], dataset: str) -> list[str]:
    """METRICS that apply to a dataset: all but those that need a truth where none is known (or all cells are empty)."""
    own = [cell.runs for cell in cells if cell.dataset == dataset]
    return [
        name
        for name, metric in METRICS.items()
        if "truth" not in metric.needs or any(runs[name].notna().any() for runs in own)
    ]


def summary(cells: Sequence[CellScores], confidence: float) -> pd.DataFrame:
    """`summary.csv`: a row per dataset, model and metric."""
    rows = []
    for cell in cells:
        units, target = units_of(cell.runs), targets(cell.runs)
        for metric in metrics_of(cells, cell.dataset):
            seed_sd = cell.runs.groupby("seed")[metric].mean().std()
            extra = {"metric": metric, "target": target.get(metric), "seed_sd": seed_sd}
            rows.append({**_mean(cell, units, metric, confidence), **extra})
    columns = ["dataset", "model", "metric", *INTERVAL, "target", *COUNTS, "n_undefined", "seed_sd"]
    return pd.DataFrame(rows, columns=columns).astype({"target": float})


def targets(runs: pd.DataFrame) -> dict[Any, float]:
    """What a model with independent samples gets that knows the population of readers, but not these readings.

    By metric, the mean over the images with several annotators, then over seeds; as in `segunc.metrics.ged`, with D_U
    the distance and A the number of annotators.
    """
    distance = runs["annotator_distance"]
    bias = distance / runs["annotators"].astype(float)
    of_images = pd.DataFrame(
        {
            **{f"ged_{n}": bias + distance / n for n in SIZES},
            "ged_u": bias,
            "ged_study_16": 2 * distance / STUDY_SIZE + (1 - 1 / STUDY_SIZE) * bias,
            "diversity": (1 - 1 / STUDY_SIZE) * distance,
        }
    )
    return of_images.groupby(runs["seed"]).mean().mean().to_dict()


def uncertainty_by(kind: str, groups: Iterable[str], cells: Sequence[CellScores], confidence: float) -> pd.DataFrame:
    """`uncertainty_by_{kind}.csv`: predictive entropy of each group of pixels.

    Each image of a seed has one value, the mean over its pixels of the group; quartiles are over the values of all
    seeds, and `n_pixels` counts their pixels. Baselines without any predictive entropy are left out.
    """
    quartiles = {"q25": 0.25, "median": 0.5, "q75": 0.75}
    rows = []
    for cell in cells:
        if cell.model in WITHOUT_PROBABILITY:
            continue
        units = units_of(cell.runs)
        for group in groups:
            values = cell.runs[f"entropy_{group}"]
            quantiles = {name: values.quantile(share) for name, share in quartiles.items()}
            pixels = int(cell.runs[f"pixels_{group}"].sum())
            mean = _mean(cell, units, f"entropy_{group}", confidence)
            rows.append({**mean, kind: group, **quantiles, "n_pixels": pixels})
    columns = ["dataset", "model", kind, *INTERVAL, *quartiles, *COUNTS, "n_pixels", "n_undefined"]
    return pd.DataFrame(rows, columns=columns)


def units_of(runs: pd.DataFrame) -> Units:
    """What the values of rows belong to; ids become numbers, which are found faster."""
    return Units(*(pd.factorize(runs[name])[0] for name in ("image_id", "patient_id", "seed")))


def described(model: str, estimate: Estimate) -> dict[str, Any]:
    """The estimate and its scope by column. Baselines that need the data alone have no networks."""
    return {**estimate._asdict(), "scope": METHOD if is_baseline(model) and estimate.n_seeds else estimate.scope}


def _mean(cell: CellScores, units: Units, score: str, confidence: float) -> dict[str, Any]:
    """The columns that all tables of means share; units: of the cell's rows."""
    scale = METRICS[score].scale if score in METRICS else "identity"
    mean = two_way(cell.runs[score], units, confidence=confidence, scale=scale)
    return {"dataset": cell.dataset, "model": cell.model, "mean": mean.estimate, **described(cell.model, mean)}


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


def ged_by_votes(cells: Sequence[CellScores], confidence: float) -> pd.DataFrame:
    """`ged_by_votes.csv`: the energy distances by the number of annotators who mark something on the image (`votes`).

    An empty cell has no images, so it has no rows.
    """
    rows = []
    for cell in cells:
        for votes, runs in cell.runs.groupby("votes"):
            part, units, target = cell._replace(runs=runs), units_of(runs), targets(runs)
            rows += [
                {
                    **_mean(part, units, metric, confidence),
                    "votes": votes,
                    "metric": metric,
                    "target": target.get(metric),
                }
                for metric in ENERGY_DISTANCES
            ]
    columns = ["dataset", "model", "votes", "metric", *INTERVAL, "target", *COUNTS]
    return pd.DataFrame(rows, columns=columns).astype({"target": float})


def comparisons(cells: Sequence[CellScores], confidence: float, unet: str) -> pd.DataFrame:
    """`comparisons.csv`: differences model_a - model_b, paired by seed and image.

    Each of these is a family of tests, for which `p_holm` is corrected, but for differences that are 0 on every image:
    all pairs of models in one of COMPARED; models and level sets (`<model>+levels`) with the level sets of the plain
    U-Net, in BESIDE_LEVELS; each model with its own level sets, in GAIN.

    unet: the id of the plain U-Net; empty if there is none.
    """
    rows = []
    for dataset in dict.fromkeys(cell.dataset for cell in cells):
        runs = {cell.model: cell.runs for cell in cells if cell.dataset == dataset and len(cell.runs)}
        models = [model for model in runs if is_model(model)]
        reference = levels_of(unet)
        scored = [*models, *(levels_of(model) for model in models if model != unet)] if reference in runs else []
        families = [(metric, list(combinations(models, 2))) for metric in COMPARED]
        families.append((BESIDE_LEVELS, [(name, reference) for name in scored]))
        families.append((GAIN, [(model, levels_of(model)) for model in models]))
        for metric, pairs in families:
            family = [
                {
                    "dataset": dataset,
                    "metric": metric,
                    "model_a": a,
                    "model_b": b,
                    **_difference(runs[a], runs[b], metric, confidence),
                }
                for a, b in pairs
            ]
            tests = [np.nan if row["se"] == row["difference"] == 0 else row["p"] for row in family]
            rows += [{**row, "p_holm": p} for row, p in zip(family, holm(tests), strict=True)]
    keys = ("dataset", "metric", "model_a", "model_b")
    columns = [*keys, "difference", "ci_low", "ci_high", "p", "p_holm", "detectable", *COUNTS]
    return pd.DataFrame(rows, columns=columns)


def _difference(first: pd.DataFrame, second: pd.DataFrame, metric: str, confidence: float) -> dict[str, Any]:
    """The mean of `metric` of the first minus that of the second, over the seeds and images of both."""
    key = ["seed", "image_id"]
    pairs = first[[*key, "patient_id", metric]].merge(second[[*key, metric]], on=key, suffixes=("", "_second"))
    result = two_way(pairs[metric] - pairs[f"{metric}_second"], units_of(pairs), confidence=confidence)
    return {"difference": result.estimate, "scope": result.scope, **result._asdict()}


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
            scores = [*metrics_of(cells, cell.dataset), *(f"entropy_{group}" for group in GROUPS)]
            seeds = cell.runs.groupby("image_id")[scores].count()
            for score, count in (seeds == 0).sum().items():
                if count:
                    reason = _why_undefined(cell.model, str(score))
                    rows.append((cell.dataset, cell.model, score, reason, count, len(seeds)))
    return pd.DataFrame(rows, columns=["dataset", "model", "what", "reason", "n_excluded", "n_total"])


def empty_masks(cells: Sequence[CellScores]) -> pd.DataFrame:
    """`empty_masks.csv`: how often the thresholded mean of a model is empty, over all seeds.

    Of the images on which at least half of the annotators mark something; baselines are left out.
    """
    rows = []
    for cell in cells:
        if is_model(cell.model):
            marked = cell.runs[2 * cell.runs["votes"].astype(float) >= cell.runs["annotators"].astype(float)]
            rows.append((cell.dataset, cell.model, int((marked["pixels_predicted"] == 0).sum()), len(marked)))
    return pd.DataFrame(rows, columns=["dataset", "model", "n_empty", "n_marked"])


def images_wide(cells: Sequence[CellScores]) -> pd.DataFrame:
    """`images_wide.csv`: a row per test image and seed, and a column `<model>.<metric>` per model and metric.

    Without a row for images that no model has scored.
    """
    tables = []
    for dataset in dict.fromkeys(cell.dataset for cell in cells):
        own = [cell for cell in cells if cell.dataset == dataset and len(cell.runs)]
        parts = [cell.runs.set_index(IMAGE)[metrics_of(cells, dataset)].add_prefix(f"{cell.model}.") for cell in own]
        if parts:
            tables.append(pd.concat(parts, axis=1))
    if not tables:
        return pd.DataFrame(columns=IMAGE)
    wide = pd.concat(tables)
    return pd.concat([wide.index.to_frame(index=False), wide.reset_index(drop=True)], axis=1)


def _why_undefined(model: str, score: str) -> str:
    judges_probability = score not in METRICS or METRICS[score].judges_probability
    if judges_probability and model in WITHOUT_PROBABILITY:
        return WITHOUT_PROBABILITY[model]
    if model == "baseline_annotator":
        return "the image has one annotator only"
    return UNDEFINED.get(score, "the score is not a number")


def is_baseline(model: str) -> bool:
    return model.startswith("baseline_")


def is_model(name: str) -> bool:
    """Whether it is neither a baseline nor the level sets of a model."""
    return not is_baseline(name) and not is_levels(name)

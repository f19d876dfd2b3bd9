"""Rounds of active learning, written as `active_acquire` and `active_evaluate` write them."""

import csv
import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from segunc import cells
from segunc.active import labelled_set
from segunc.active.round_scores import COLUMNS
from segunc.metrics.registry import ROUND_SCORES

START, ADD = 20, 10
PATIENTS = [image // 3 for image in range(24)]
"""The patient of each test image."""


def pattern(folder):
    """Where `write_scores` writes the scores of a round in `folder`."""
    return f"{folder}/{{dataset}}/{{model}}/{{strategy}}/seed{{seed}}/round{{round}}/images.csv"


def score_files(folder, datasets, models, strategies, seeds, rounds):
    """The files of all rounds that `write_scores` writes."""
    grid = {"datasets": datasets, "models": models, "strategies": strategies, "seeds": seeds, "rounds": rounds}
    return [Path(cell.fill(pattern(folder))) for cell in cells.rounds(SimpleNamespace(**grid))]


def write_scores(folder, datasets, models, strategies, seeds, rounds, value=None):
    """Writes the `images.csv` of each round in `folder`; value(metric, row) overrides the invented scores.

    Returns the grid: `datasets`, `models`, `strategies`, `seeds` and `rounds`.
    """
    chain = [("start", 0), *itertools.product(strategies, range(1, rounds + 1))]
    for dataset, model, (strategy, round_), seed in itertools.product(datasets, models, chain, range(seeds)):
        cell = {"dataset": dataset, "model": model, "strategy": strategy, "seed": seed, "round": round_}
        path = folder / dataset / model / strategy / f"seed{seed}" / f"round{round_}" / "images.csv"
        path.parent.mkdir(parents=True)
        invented = _invented(cell, [*strategies, "start"].index(strategy))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for image, patient in enumerate(PATIENTS):
                row = {**cell, "images": START + ADD * round_, "image_id": f"NA{image}", "patient_id": f"p{patient}"}
                scores = {metric: float(invented[metric][image]) for metric in ROUND_SCORES}
                if value is not None:
                    scores = {metric: float(value(metric, row)) for metric in ROUND_SCORES}
                writer.writerow({**row, **{metric: f"{score:.9g}" for metric, score in scores.items()}})
    grid = {"datasets": datasets, "models": models, "strategies": strategies, "seeds": list(range(seeds))}
    return {**grid, "rounds": rounds}


def _invented(cell, place):
    """Scores that improve with the number of images, more slowly for later strategies, and differ between patients."""
    rng = np.random.default_rng([place, cell["seed"], cell["round"], len(cell["model"]), len(cell["dataset"])])
    loss = 0.1 + 0.2 * np.exp(-cell["round"] / (3 + 0.3 * place)) + 0.01 * rng.standard_normal()
    losses = loss + 0.02 * np.sin(PATIENTS) + 0.005 * rng.standard_normal(len(PATIENTS))
    return {"cross_entropy": losses, "dice": 0.9 - 2 * losses, "dice_cut": 0.95 - 2 * losses, "ged_u": 3 * losses}


def write_labelled(path, image_ids, start, add, rounds, seed=0):
    """An initial labelled set and rounds of random picks among the images of the training split."""
    order = np.random.default_rng(seed).permutation(len(image_ids))[: start + add * rounds]
    labelled_set.write(path, np.asarray(image_ids)[order], np.repeat(range(rounds + 1), [start, *[add] * rounds]))

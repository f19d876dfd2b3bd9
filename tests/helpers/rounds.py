"""Rounds of active learning, written as `active_acquire` and `active_evaluate` write them."""

import csv
import itertools
from pathlib import Path

import numpy as np

from segunc import cells
from segunc.active import labelled_set

START, ADD = 20, 10


def pattern(folder):
    """Where `write_scores` writes the scores of a round in `folder`."""
    return f"{folder}/{{dataset}}/{{model}}/{{strategy}}/seed{{seed}}/round{{round}}/scores.csv"


def score_files(folder, datasets, models, strategies, seeds, rounds):
    """The files of all rounds that `write_scores` writes."""
    return [Path(cell.fill(pattern(folder))) for cell in cells.rounds(datasets, models, strategies, seeds, rounds)]


def write_scores(folder, datasets, models, strategies, seeds, rounds, value=None):
    """Writes a `scores.csv` of each round in `folder`; value(metric, row) overrides the invented scores.

    `skin` has one annotator. Returns the grid: `datasets`, `models`, `strategies`, `seeds` and `rounds`.
    """
    chain = [("start", 0), *itertools.product(strategies, range(1, rounds + 1))]
    for dataset, model, (strategy, round_), seed in itertools.product(datasets, models, chain, range(seeds)):
        row = {"dataset": dataset, "model": model, "strategy": strategy, "seed": seed, "round": round_}
        row |= {"images": START + ADD * round_, **_invented(row, [*strategies, "start"].index(strategy))}
        if value is not None:
            row |= {metric: value(metric, row) for metric in ("cross_entropy", "dice", "ged_16")}
        path = folder / dataset / model / strategy / f"seed{seed}" / f"round{round_}" / "scores.csv"
        path.parent.mkdir(parents=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            writer.writeheader()
            writer.writerow({k: f"{v:.9g}" if isinstance(v, float) else v for k, v in row.items()})
    grid = {"datasets": datasets, "models": models, "strategies": strategies, "seeds": list(range(seeds))}
    return {**grid, "rounds": rounds}


def _invented(row, place):
    """Scores that improve with the number of images, more slowly for later strategies."""
    rng = np.random.default_rng([place, row["seed"], row["round"], len(row["model"]), len(row["dataset"])])
    loss = 0.04 + 0.2 * np.exp(-row["round"] / (3 + 0.3 * place)) + 0.01 * rng.standard_normal()
    disputed = float("nan") if row["dataset"] == "skin" else 0.35 + 0.03 * place * (place < 9) + 0.02 * rng.random()
    added = START if row["round"] == 0 else ADD
    return {
        "cross_entropy": float(loss),
        "dice": float(0.9 - 2 * loss),
        "ged_16": float(4 * loss),
        "ged_u_16": float(3 * loss),
        "foreground": 0.03,
        "disagreement": disputed,
        "patients": min(12, 8 + row["round"]),
        "groups": START + row["round"],
        "picked_foreground": float(0.03 + 0.004 * place * (place < 9) + 0.002 * rng.random()),
        "picked_disagreement": disputed,
        "picked_patients": int(rng.integers(max(1, added - 3 - place), added + 1)),
        "picked_groups": int(rng.integers(max(1, added - 2), added + 1)),
    }


def write_labelled(path, image_ids, start, add, rounds, seed=0):
    """An initial labelled set and rounds of random picks among the images of the training split."""
    order = np.random.default_rng(seed).permutation(len(image_ids))[: start + add * rounds]
    labelled_set.write(path, np.asarray(image_ids)[order], np.repeat(range(rounds + 1), [start, *[add] * rounds]))

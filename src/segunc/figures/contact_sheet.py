"""Figure: what do the images look like? A sample of each side of the split, with what the annotators marked.

Reads the data store of one dataset. The images are spread over the votes and sizes of their side, from most to least,
of as many patients as possible (`segunc.figures.examples.chosen`), and are shown whole, so that sizes can be compared.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segunc.data.overview import read_images
from segunc.figures import examples, style
from segunc.figures import strategy_style as strategies
from segunc.figures.examples import Example
from segunc.runtime.stage import Job, stage

ROWS = {"train": 3, "val": 1, "test": 2}
ACROSS = 7
"""Images of a row."""
NAMES = {"train": "Training", "val": "Validation", "test": "Test"}
LEFT, GAP, CAPTION, BETWEEN, TOP = 1.0, 0.05, 0.16, 0.16, 0.52
"""Inches: room for the names of the sides, between images, below an image, between sides, and above."""
SIDE = (style.WIDTH - LEFT + GAP) / ACROSS - GAP
WHOLE = (slice(None), slice(None))
RANKED_BY = ("votes", "foreground", "image_id", "patient_id")


def draw(shown: Mapping[str, Sequence[Example]], notes: Mapping[str, str], title: str) -> Figure:
    """A block of images per side of the split; notes: what to print below a side's name."""
    annotators = max((len(example.annotations) for block in shown.values() for example in block), default=0)
    if not annotators:
        return style.nothing(f"{title}: no images")
    handles = examples.annotator_handles(annotators)
    if annotators == 1:
        handles = [examples.handle("annotator", examples.TRUTH)]
    rows = {side: -(-len(block) // ACROSS) for side, block in shown.items()}
    bottom = 0.05 + style.legend_height(handles, style.WIDTH - LEFT)
    height = TOP + sum(rows.values()) * (SIDE + CAPTION) + len(rows) * BETWEEN + bottom
    figure = Figure(figsize=(style.WIDTH, height))
    small: dict[str, Any] = {"color": style.GREY, "fontsize": style.SMALL, "va": "top"}
    figure.text(LEFT / style.WIDTH, 1 - 0.06 / height, title, va="top", fontweight="bold", fontsize=9)
    order = "annotators who mark something, mean share" if annotators > 1 else "share"
    figure.text(LEFT / style.WIDTH, 1 - 0.23 / height, f"from most to least: {order} of marked pixels", **small)
    top = TOP
    for side, block in shown.items():
        rule = 1 - (top - BETWEEN / 2) / height
        figure.add_artist(Line2D([0, 1], [rule, rule], color=style.PALE, lw=0.6))
        figure.text(0, 1 - top / height, NAMES[side], fontsize=8.5, va="top")
        figure.text(0, 1 - (top + 0.17) / height, notes[side], **small)
        for i, example in enumerate(block):
            row, column = divmod(i, ACROSS)
            left, above = LEFT + column * (SIDE + GAP), top + row * (SIDE + CAPTION)
            axes = style.place(figure, left, above, SIDE, SIDE)
            style.bare(axes)
            examples.show_image(axes, example.image, WHOLE)
            examples.outline_annotators(axes, example.annotations, WHOLE)
            figure.text(left / style.WIDTH, 1 - (above + SIDE + 0.025) / height, _caption(example), **small)
        top += rows[side] * (SIDE + CAPTION) + BETWEEN
    style.legend(figure, handles, LEFT, height - bottom + 0.02, style.WIDTH - LEFT)
    return figure


def _caption(example: Example) -> str:
    """Votes, if there are several annotators, and the marked share of the pixels."""
    annotators = len(example.annotations)
    _, share = example.description
    return f"{example.votes} of {annotators}, {share.split()[0]}" if annotators > 1 else share


def load(data: Path, images: pd.DataFrame) -> dict[str, list[Example]]:
    """The images to show of each side that has any; images: from `read_images`, one row per image of the store."""
    chosen = {}
    for side, rows in ROWS.items():
        part = images[(images["split"] == side) & (images["annotators"] > 0)]
        votes, marked, ids, patients = (part[name].to_numpy() for name in RANKED_BY)
        chosen[side] = part.index[examples.spread(votes, marked, ids, patients, rows * ACROSS)]
    with h5py.File(data, "r") as file:
        return {
            side: [
                Example(images["image_id"][row], file["images"][row], file["masks"][row][file["annotated"][row]], {})
                for row in rows
            ]
            for side, rows in chosen.items()
            if len(rows)
        }


def described(images: pd.DataFrame) -> str:
    """How many images of how many patients, and how much of them is marked."""
    counts = strategies.count(len(images), "image"), strategies.count(images["patient_id"].nunique(), "patient")
    return "\n".join([*counts, f"{100 * np.nanmean(images['foreground']):.1f}% marked"])


@stage
def main(
    job: Job,
    *,
    dataset: str,  # id of the dataset
    data: Path,  # the dataset's store
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    labels = job.spec["labels"]
    images = read_images(data)
    shown = load(data, images)
    notes = {side: described(images[images["split"] == side]) for side in shown}
    style.save(draw(shown, notes, labels.get(dataset, dataset)), png, pdf)


if __name__ == "__main__":
    main()

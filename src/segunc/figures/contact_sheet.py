"""Figure: what do the images look like? Images of each split or fold with annotators' outlines.

Reads the store of one dataset. The images of a split or fold are spread over the numbers of annotators who marked
something and over foreground shares, and come from as many patients as possible
(`segunc.figures.examples.choose_spread`). They are not cropped, so that sizes can be compared. What `prepare` left out
or remarked on is printed below the title.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segunc.data.hdf5 import open_hdf5
from segunc.data.overview import left_out, read_images
from segunc.data.store import read_remarks
from segunc.figures import examples, style
from segunc.figures.examples import WHOLE, Example
from segunc.figures.specs import FigureSpec
from segunc.runtime.stage import Job, stage

ROWS = {"train": 3, "val": 1, "test": 2}
"""Rows of images per split; a fold has one."""
COLUMNS = 7
"""Largest number of images in a row."""
NAMES = {"train": "Training", "val": "Validation", "test": "Test"}
LEFT, GAP, BETWEEN, TOP = 1.0, 0.05, 0.2, 0.4
"""Inches: space for the names of splits, between images, between splits, and at the top."""
SMALLEST = 0.75
"""Inches: smallest width of an image."""
RANKED_BY = ("votes", "foreground", "image_id", "patient_id")


@style.applied()
def plot(
    shown: Mapping[str, Sequence[Example]],
    notes: Mapping[str, str],
    spec: FigureSpec,
    title: str,
    remarks: Sequence[str] = (),
) -> Figure:
    """A block of images per split or fold.

    shown: the images by split or fold, in the order of the figure; notes: what to print below its name; title: the
    dataset's label; remarks: what to print below the title, a paragraph each.
    """
    annotators = max((len(example.annotations) for block in shown.values() for example in block), default=0)
    if not annotators:
        return style.empty_figure(spec, f"{title}: no images")
    handles = examples.annotator_handles(annotators)
    columns, full = columns_of(spec), spec["width"]
    size = (full - LEFT + GAP) / columns - GAP
    captions = {part: [_caption(example, annotators, size) for example in block] for part, block in shown.items()}
    below_image = 0.04 + style.LINE * max(text.count("\n") + 1 for block in captions.values() for text in block)
    rows = {part: -(-len(block) // columns) for part, block in shown.items()}
    bottom = 0.05 + style.legend_height(handles, full - LEFT)
    below_title = "\n".join(style.wrapped(remark, full - LEFT, style.SMALL) for remark in remarks)
    order = "number of annotators who marked something, foreground share" if annotators > 1 else "foreground share"
    in_order = "(both in descending order)" if annotators > 1 else "(in descending order)"
    order = style.wrapped(f"below each image: {order} {in_order}, id", full - LEFT, style.SMALL)
    order_height = style.LINE * (1 + order.count("\n"))
    top = TOP + order_height + len(below_title.splitlines()) * style.LINE
    height = top + sum(rows.values()) * (size + below_image) + len(rows) * BETWEEN + bottom
    figure = Figure(figsize=(full, height))
    small: dict[str, Any] = {"color": style.GREY, "fontsize": style.SMALL, "va": "top"}
    title = style.wrapped(title, full - LEFT - 0.1, 9, bold=True, lines=1)
    figure.text(LEFT / full, 1 - 0.06 / height, title, va="top", fontweight="bold", fontsize=9)
    figure.text(LEFT / full, 1 - 0.23 / height, order, **small)
    figure.text(LEFT / full, 1 - (0.23 + order_height) / height, below_title, **small)
    for part, block in shown.items():
        rule = 1 - (top - BETWEEN / 2) / height
        figure.add_artist(Line2D([0, 1], [rule, rule], color=style.PALE, lw=0.6))
        figure.text(0, 1 - top / height, NAMES.get(part, part.capitalize()), fontsize=8.5, va="top")
        figure.text(0, 1 - (top + 0.17) / height, notes[part], **small)
        for i, example in enumerate(block):
            row, column = divmod(i, columns)
            left, above = LEFT + column * (size + GAP), top + row * (size + below_image)
            axes = style.place(figure, left, above, size, size)
            style.hide_axis(axes)
            examples.show_image(axes, example.image, WHOLE)
            examples.outline_annotators(axes, example.annotations, WHOLE)
            figure.text(left / full, 1 - (above + size + 0.025) / height, captions[part][i], **small)
        top += rows[part] * (size + below_image) + BETWEEN
    style.legend(figure, handles, LEFT, height - bottom + 0.02, full - LEFT)
    return figure


def columns_of(spec: FigureSpec) -> int:
    """Images in a row."""
    return min(COLUMNS, int((spec["width"] - LEFT + GAP) / (SMALLEST + GAP)))


def _caption(example: Example, annotators: int, width: float) -> str:
    """How many of the image's annotators marked something, if images have up to several, foreground share and id."""
    share = example.foreground_share
    marked = f"{example.positive_annotators} of {len(example.annotations)}, {share}" if annotators > 1 else share
    return f"{marked}\n{style.wrapped(example.image_id, width, style.SMALL, lines=3)}"


def load(data: Path, images: pd.DataFrame, columns: int = COLUMNS) -> dict[str, list[Example]]:
    """The images to show, by split or fold; those without images are left out.

    images: what `read_images` returns, one row per image of the store; columns: images in a row.
    """
    chosen = {}
    for part in images["part"].cat.categories:
        rows = images[(images["part"] == part) & (images["annotators"] > 0)]
        positive_annotators, foreground, ids, patients = (rows[name].to_numpy() for name in RANKED_BY)
        n = ROWS.get(part, 1) * columns
        chosen[part] = rows.index[examples.choose_spread(positive_annotators, foreground, ids, patients, n)]
    with open_hdf5(data) as file:
        return {
            part: [
                Example(images["image_id"][row], file["images"][row], file["masks"][row][file["annotated"][row]], {})
                for row in rows
            ]
            for part, rows in chosen.items()
            if len(rows)
        }


def describe(images: pd.DataFrame) -> str:
    """The number of images and patients, and the mean foreground share."""
    counts = style.count(len(images), "image"), style.count(images["patient_id"].nunique(), "patient")
    return "\n".join([*counts, f"{100 * np.nanmean(images['foreground']):.1f}% foreground"])


@stage
def main(
    job: Job,
    *,
    dataset: str,  # id of the dataset
    data: Path,  # the dataset's store
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    spec: FigureSpec = job.spec
    images = read_images(data)
    shown = load(data, images, columns_of(spec))
    notes = {part: describe(images[images["part"] == part]) for part in shown}
    missing = left_out(data)
    remarks = [*([f"left out: {missing}"] if missing else []), *read_remarks(data)]
    style.save(plot(shown, notes, spec, style.label(spec, "datasets", dataset), remarks), png, pdf)


if __name__ == "__main__":
    main()

"""Figure: what do the first picks of each strategy look like? Images of round 1 with their annotators' outlines.

After figure 9 of the study. Reads the store of one dataset and the `labelled.csv` of each strategy for one model and
seed. Images are not cropped, so that sizes can be compared.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from segunc.active import labelled_set
from segunc.data.store import Images, read_split, take
from segunc.evaluation.annotation_stats import foreground
from segunc.figures import examples, style
from segunc.figures.examples import WHOLE
from segunc.figures.specs import FigureSpec, PicksSpec
from segunc.runtime.stage import Job, stage

COLUMNS = 8
"""Largest number of images shown per strategy."""
LEFT, GAP, BETWEEN, TOP = 1.3, 0.04, 0.12, 0.42
"""Inches: space for the strategies' names, between images, between strategies, and at the top."""
SMALLEST = 0.62
"""Inches: smallest width of an image."""


@style.applied()
def plot(picks: Mapping[str, Images], names: Sequence[str], spec: FigureSpec, title: str, note: str) -> Figure:
    """A row per strategy with the first images that it picked, in the order of picking.

    picks: all images of round 1, by strategy; names: all strategies, including those without picks, which get a row
    labelled `no data`; note: a line below the title.
    """
    full = spec["width"]
    columns = min(COLUMNS, int((full - LEFT) / (SMALLEST + GAP)))
    size = (full - LEFT) / columns - GAP
    ids = {
        name: [style.wrapped(image, size, style.SMALL, lines=3) for image in images.image_id[:columns]]
        for name, images in picks.items()
    }
    below_image = 0.03 + style.LINE * max((text.count("\n") + 1 for row in ids.values() for text in row), default=0)
    pitch = size + below_image + BETWEEN
    annotators = max((int(images.annotated.sum(axis=1).max()) for images in picks.values()), default=1)
    handles = examples.annotator_handles(annotators)
    bottom = 0.1 + style.legend_height(handles, full - LEFT)
    title = style.wrapped(title, full - LEFT - 0.1, 9, bold=True)
    head = 0.15 * title.count("\n")
    height = TOP + head + len(names) * pitch + bottom
    figure = Figure(figsize=(full, height))
    figure.text(LEFT / full, 1 - 0.06 / height, title, va="top", fontweight="bold", fontsize=9)
    small: dict[str, Any] = {"color": style.GREY, "fontsize": style.SMALL, "va": "top"}
    figure.text(LEFT / full, 1 - (0.23 + head) / height, note, **small)
    for row, strategy in enumerate(names):
        top = TOP + head + row * pitch
        line = style.line(spec, "strategies", strategy)
        words = style.wrapped(str(line.get_label()), LEFT - 0.1, 8, lines=2).split("\n")
        x = 0.05 / full
        figure.text(x, 1 - top / height, "\n".join(words), color=line.get_color(), fontsize=8, va="top")
        if strategy not in picks:
            axes = style.place(figure, LEFT, top, full - LEFT - GAP, size)
            style.hide_axis(axes)
            style.mark_empty(axes)
            continue
        images = picks[strategy]
        below = top + 0.05 + 0.14 * len(words)
        figure.text(x, 1 - below / height, describe(images), **small)
        for i, text in enumerate(ids[strategy]):
            left = LEFT + i * (size + GAP)
            axes = style.place(figure, left, top, size, size)
            figure.text(left / full, 1 - (top + size + 0.025) / height, text, **small)
            style.hide_axis(axes)
            examples.show_image(axes, images.images[i], WHOLE)
            examples.outline_annotators(axes, images.masks[i][images.annotated[i]], WHOLE)
    style.legend(figure, handles, LEFT, height - bottom + 0.04, full - LEFT)
    return figure


def describe(images: Images) -> str:
    """The number of picks, of their patients, and the share of foreground pixels."""
    patients = len(np.unique(images.patient_id))
    counts = style.count(len(images.images), "pick"), style.count(patients, "patient")
    return f"{', '.join(counts)}\n{100 * foreground(images).mean():.1f}% foreground"


@stage
def main(
    job: Job,
    *,
    dataset: str,  # id of the dataset
    data: Path,  # the dataset's store
    labelled: list[Path],  # labelled.csv of round 1, of the spec's strategies
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    spec: PicksSpec = job.spec
    train = read_split(data, "train", spec["seed"])
    picks = {}
    for strategy, path in zip(spec["strategies"], labelled, strict=True):
        positions, rounds = labelled_set.read(path, train.image_id)
        picks[strategy] = take(train, positions[rounds == 1])
    model = style.label(spec, "models", spec["model"])
    title = f"{style.label(spec, 'datasets', dataset)}: first picks of round 1 ({model}, seed {spec['seed']})"
    note = f"training split: {100 * foreground(train).mean():.1f}% foreground"
    names = style.ordered(spec, "strategies", [*picks, *spec["missing"]])
    style.save(plot(picks, names, spec, title, note), png, pdf)


if __name__ == "__main__":
    main()

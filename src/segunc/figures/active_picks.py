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
from segunc.figures import examples, strategy_style, style
from segunc.figures.examples import WHOLE
from segunc.figures.specs import ActiveLabels, PicksSpec
from segunc.runtime.stage import Job, stage

COLUMNS = 8
"""Number of images shown per strategy."""
LEFT, GAP, BETWEEN, TOP = 1.3, 0.04, 0.12, 0.42
"""Inches: space for the strategies' names, between images, between strategies, and at the top."""
SIZE = (style.WIDTH - LEFT) / COLUMNS - GAP
"""Inches: width and height of an image."""


def plot(picks: Mapping[str, Images], names: Sequence[str], labels: ActiveLabels, title: str, note: str) -> Figure:
    """A row per strategy with the first images that it picked, in the order of picking.

    picks: all images of round 1, by strategy; names: all strategies, including those without picks, which get a row
    labelled `no data`; note: a line below the title.
    """
    annotators = max((int(images.annotated.sum(axis=1).max()) for images in picks.values()), default=1)
    handles = examples.annotator_handles(annotators)
    bottom = 0.1 + style.legend_height(handles, style.WIDTH - LEFT)
    title = style.wrapped(title, style.WIDTH - LEFT - 0.1, 9, bold=True)
    head = 0.15 * title.count("\n")
    height = TOP + head + len(names) * (SIZE + BETWEEN) + bottom
    figure = Figure(figsize=(style.WIDTH, height))
    figure.text(LEFT / style.WIDTH, 1 - 0.06 / height, title, va="top", fontweight="bold", fontsize=9)
    small: dict[str, Any] = {"color": style.GREY, "fontsize": style.SMALL, "va": "top"}
    figure.text(LEFT / style.WIDTH, 1 - (0.23 + head) / height, note, **small)
    for row, strategy in enumerate(names):
        top = TOP + head + row * (SIZE + BETWEEN)
        line = strategy_style.line(strategy, names, labels)
        words = style.wrapped(str(line.get_label()), LEFT - 0.1, 8, lines=2).split("\n")
        x = 0.05 / style.WIDTH
        figure.text(x, 1 - top / height, "\n".join(words), color=line.get_color(), fontsize=8, va="top")
        if strategy not in picks:
            axes = style.place(figure, LEFT, top, style.WIDTH - LEFT - GAP, SIZE)
            style.hide_axis(axes)
            style.mark_empty(axes)
            continue
        images = picks[strategy]
        below = top + 0.05 + 0.14 * len(words)
        figure.text(x, 1 - below / height, describe(images), **small)
        for i in range(min(COLUMNS, len(images.images))):
            axes = style.place(figure, LEFT + i * (SIZE + GAP), top, SIZE, SIZE)
            style.hide_axis(axes)
            examples.show_image(axes, images.images[i], WHOLE)
            examples.outline_annotators(axes, images.masks[i][images.annotated[i]], WHOLE)
    style.legend(figure, handles, LEFT, height - bottom + 0.04, style.WIDTH - LEFT)
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
    labels = spec["labels"]
    train = read_split(data, "train", spec["seed"])
    picks = {}
    for strategy, path in zip(spec["strategies"], labelled, strict=True):
        positions, rounds = labelled_set.read(path, train.image_id)
        picks[strategy] = take(train, positions[rounds == 1])
    model = labels["models"][spec["model"]]
    title = f"{labels['datasets'].get(dataset, dataset)}: first picks of round 1 ({model}, seed {spec['seed']})"
    note = f"training split: {100 * foreground(train).mean():.1f}% foreground"
    names = style.ordered([*picks, *spec["missing"]], labels["strategies"])
    style.save(plot(picks, names, labels, title, note), png, pdf)


if __name__ == "__main__":
    main()

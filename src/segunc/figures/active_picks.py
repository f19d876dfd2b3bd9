"""Figure: what do the first picks of each strategy look like? Images of round 1 with their annotators' outlines.

After figure 9 of the study. Reads the data store of one dataset and the `labelled.csv` of each strategy, of one model
and seed. Images are shown whole, so that sizes can be compared.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from segunc.active import labelled_set
from segunc.data.store import Images, read_split, take
from segunc.evaluation.annotation_stats import composition, foreground
from segunc.figures import examples, style
from segunc.figures import strategy_style as strategies
from segunc.figures.examples import TRUTH
from segunc.runtime.stage import Job, stage

SHOWN = 8
"""Most images of a strategy."""
LEFT, GAP, BETWEEN, TOP = 1.3, 0.04, 0.12, 0.42
"""Inches: room for the strategies' names, between images, between strategies, and above."""
SIDE = (style.WIDTH - LEFT) / SHOWN - GAP
WHOLE = (slice(None), slice(None))


def draw(picks: Mapping[str, Images], names: Sequence[str], labels: strategies.Labels, title: str, note: str) -> Figure:
    """A row per strategy with the first images that it picked, in the order of picking.

    picks: all images of round 1 by strategy; names: all strategies, also those without picks, whose row says so; note:
    a line below the title.
    """
    annotators = max((int(images.annotated.sum(axis=1).max()) for images in picks.values()), default=1)
    handles = examples.annotator_handles(annotators) if annotators > 1 else [examples.handle("annotator", TRUTH)]
    bottom = 0.1 + style.legend_height(handles, style.WIDTH - LEFT)
    height = TOP + len(names) * (SIDE + BETWEEN) + bottom
    figure = Figure(figsize=(style.WIDTH, height))
    figure.text(LEFT / style.WIDTH, 1 - 0.06 / height, title, va="top", fontweight="bold", fontsize=9)
    small: dict[str, Any] = {"color": style.GREY, "fontsize": style.SMALL, "va": "top"}
    figure.text(LEFT / style.WIDTH, 1 - 0.23 / height, note, **small)
    for row, strategy in enumerate(names):
        top = TOP + row * (SIDE + BETWEEN)
        line = strategies.line(strategy, names, labels)
        words = textwrap.wrap(str(line.get_label()), 18)
        x = 0.05 / style.WIDTH
        figure.text(x, 1 - top / height, "\n".join(words), color=line.get_color(), fontsize=8, va="top")
        if strategy not in picks:
            axes = style.place(figure, LEFT, top, style.WIDTH - LEFT - GAP, SIDE)
            style.bare(axes)
            style.empty(axes)
            continue
        images = picks[strategy]
        below = top + 0.05 + 0.14 * len(words)
        figure.text(x, 1 - below / height, described(images), **small)
        for i in range(min(SHOWN, len(images.images))):
            axes = style.place(figure, LEFT + i * (SIDE + GAP), top, SIDE, SIDE)
            style.bare(axes)
            examples.show_image(axes, images.images[i], WHOLE)
            examples.outline_annotators(axes, images.masks[i][images.annotated[i]], WHOLE)
    style.legend(figure, handles, LEFT, height - bottom + 0.04, style.WIDTH - LEFT)
    return figure


def described(images: Images) -> str:
    """How many there are, of how many patients, and how much of them is marked."""
    made_of = composition(images)
    counts = strategies.count(len(images.images), "pick"), strategies.count(int(made_of["patients"]), "patient")
    return f"{', '.join(counts)}\n{100 * made_of['foreground']:.1f}% marked"


@stage
def main(
    job: Job,
    *,
    dataset: str,  # id of the dataset
    data: Path,  # the dataset's store
    labelled: list[Path],  # of round 1 of the spec's strategies
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    labels = job.spec["labels"]
    train = read_split(data, "train")
    picks = {}
    for strategy, path in zip(job.spec["strategies"], labelled, strict=True):
        positions, rounds = labelled_set.read(path, train.image_id)
        picks[strategy] = take(train, positions[rounds == 1])
    model = labels["models"][job.spec["model"]]
    title = f"{labels['datasets'].get(dataset, dataset)}: first picks of round 1 ({model}, seed {job.spec['seed']})"
    note = f"training split: {100 * foreground(train).mean():.1f}% marked"
    names = style.ordered([*picks, *job.spec["missing"]], labels["strategies"])
    style.save(draw(picks, names, labels, title, note), png, pdf)


if __name__ == "__main__":
    main()

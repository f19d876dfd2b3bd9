"""Figure: what do samples of each model look like? Sampled masks of single test images, below the annotators' masks.

After figure 7 of the study. Reads the store of one dataset, the samples of all models with one seed, and from the table
`summary` the diversity of each model, and its target for the annotators. The images are spread over the test split
(`segunc.figures.examples.choose`). Each is cropped to the foreground of the masks.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from segunc.figures import examples, style
from segunc.figures.specs import SamplesSpec
from segunc.runtime.stage import Job, stage

IMAGES = 3
GRID = (2, 4)
"""Rows and columns of the masks of one model on one image."""
ANNOTATORS = "Annotators"
BACKGROUND = "#f0f0f0"
THUMB, GAP, BETWEEN, LEFT = 0.42, 0.03, 0.14, 1.15
"""Inches: width and height of a mask, space between masks, between images and models, and for the names of models."""


def plot(
    shown: Sequence[examples.Example],
    models: Sequence[str],
    diversity: Mapping[str, float],
    labels: Mapping[str, str],
    title: str,
) -> Figure:
    """A column per image; a row of annotators, then one per model.

    diversity: mean over the test images by model, and its target under ANNOTATORS; labels: by model. A model without
    predictions gets a row labelled `no data`.
    """
    colours = style.colours(models)
    rows, columns = GRID
    block = (columns * (THUMB + GAP) - GAP, rows * (THUMB + GAP) - GAP)
    top = 0.42
    width = LEFT + len(shown) * (block[0] + BETWEEN)
    height = top + (1 + len(models)) * (block[1] + BETWEEN)
    figure = Figure(figsize=(width, height))
    title = style.wrapped(title, width - 0.16, 9, bold=True, lines=1)
    figure.text(0.08 / width, 1 - 0.07 / height, title, va="top", fontweight="bold", fontsize=9)
    several = any(len(example.annotations) > 1 for example in shown)
    note = _diversity(diversity, ANNOTATORS) if several else "one mask per image"
    _name(figure, top + block[1] / 2, ANNOTATORS, style.INK, note)
    for m, model in enumerate(models):
        note = _diversity(diversity, model)
        middle = top + (m + 1) * (block[1] + BETWEEN) + block[1] / 2
        _name(figure, middle, labels.get(model, model), colours[model], note)
    for i, example in enumerate(shown):
        samples_of = {model: prediction.masks[: rows * columns] for model, prediction in example.predictions.items()}
        part = examples.window([*example.annotations, *(mask for masks in samples_of.values() for mask in masks)])
        left = LEFT + i * (block[0] + BETWEEN)
        axes = style.place(figure, left, top, block[1], block[1])
        style.hide_axis(axes)
        axes.annotate(
            ", ".join(filter(None, example.description)),
            (0, 1),
            (0, 3),
            xycoords="axes fraction",
            textcoords="offset points",
            color=style.GREY,
            fontsize=style.SMALL,
        )
        examples.show_image(axes, example.image, part)
        masks = example.annotations
        across = int(np.ceil(np.sqrt(len(masks))))
        _masks(figure, masks, part, (left + block[1] + GAP, top), block[1], across, style.INK)
        for m, model in enumerate(models):
            place = (left, top + (m + 1) * (block[1] + BETWEEN))
            if model in samples_of:
                _masks(figure, samples_of[model], part, place, block[0], columns, colours[model])
            else:
                axes = style.place(figure, *place, *block)
                style.hide_axis(axes)
                style.mark_empty(axes)
    return figure


def _diversity(values: Mapping[str, float], name: str) -> str:
    value = values.get(name, float("nan"))
    return f"diversity {value:.2f}" if np.isfinite(value) else "diversity: no data"


def _name(figure: Figure, middle: float, name: str, colour: str, note: str) -> None:
    """Writes the name of a row to its left, with a note below; middle: of the row, in inches from the top."""
    width, height = figure.get_size_inches()
    text = style.wrapped(name, LEFT - 0.1, 8.5, lines=3)
    figure.text(0.08 / width, 1 - middle / height, text, color=colour, va="bottom" if note else "center", fontsize=8.5)
    figure.text(0.08 / width, 1 - (middle + 0.04) / height, note, color=style.GREY, va="top", fontsize=style.SMALL)


def _masks(
    figure: Figure,
    masks: NDArray,
    part: tuple[slice, slice],
    place: tuple[float, float],
    width: float,
    across: int,
    colour: str,
) -> None:
    """Shows masks (K, H, W) in rows of `across`; place: the top left corner; all lengths are in inches."""
    size = (width + GAP) / across - GAP
    rows = -(-len(masks) // across)
    height = rows * (size + GAP) - GAP
    # One axes for all masks, with inches as units: creating axes takes longer than plotting.
    axes = style.place(figure, *place, width, height)
    style.hide_axis(axes)
    for i, mask in enumerate(masks):
        row, column = divmod(i, across)
        left, top = column * (size + GAP), row * (size + GAP)
        axes.imshow(
            mask[part].astype(float),
            cmap=ListedColormap([BACKGROUND, colour]),
            vmin=0,
            vmax=1,
            interpolation="nearest",
            extent=(left, left + size, top + size, top),
        )
    axes.set(xlim=(0, width), ylim=(height, 0))


@stage
def main(
    job: Job,
    *,
    dataset: str,  # id of the dataset
    data: Path,  # the dataset's store
    samples: list[Path],  # of the spec's models
    summary: Path,  # summary.csv
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    spec: SamplesSpec = job.spec
    labels = spec["labels"]
    table = style.read_table(summary)
    rows = table[(table["dataset"] == dataset) & (table["metric"] == "diversity")]
    diversity = {**dict(zip(rows["model"], rows["mean"], strict=True)), ANNOTATORS: rows["target"].mean()}
    shown, models = examples.load_specified(data, samples, spec, IMAGES)
    style.save(plot(shown, models, diversity, labels, labels.get(dataset, dataset)), png, pdf)


if __name__ == "__main__":
    main()

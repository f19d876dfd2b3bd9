"""Figure: what does each model draw? Sampled masks of single test images, beside the annotators' masks.

After figure 7 of the study. Reads the data store and the samples of one dataset with one seed, and the diversity of
each model from the table `summary`. The images are spread
over the votes and sizes in the test split (`segunc.figures.examples.chosen`); each is cropped to what is marked.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from segunc.figures import examples, style
from segunc.runtime.stage import Job, stage

IMAGES = 3
GRID = (2, 4)
"""Rows and columns of the masks of one model on one image."""
PAPER = "#f0f0f0"
THUMB, GAP, BETWEEN, LEFT = 0.42, 0.03, 0.14, 1.15
"""Inches: side of a mask, space between masks, between images and models, and room for the models' names."""


def draw(
    shown: Sequence[examples.Example],
    models: Sequence[str],
    diversity: Mapping[str, float],
    labels: Mapping[str, str],
    title: str,
) -> Figure:
    """Images side by side, a row per model below that of the annotators.

    diversity: mean over the test split, by model and for `baseline_oracle`; labels: id -> label. A model of which the
    examples have no prediction has a row that says so.
    """
    colours = style.colours(models)
    rows, columns = GRID
    block = (columns * (THUMB + GAP) - GAP, rows * (THUMB + GAP) - GAP)
    top = 0.42
    width = LEFT + len(shown) * (block[0] + BETWEEN)
    height = top + (1 + len(models)) * (block[1] + BETWEEN)
    figure = Figure(figsize=(width, height))
    figure.text(0.08 / width, 1 - 0.07 / height, title, va="top", fontweight="bold", fontsize=9)
    several = any(len(example.annotations) > 1 for example in shown)
    note = _diversity(diversity, "baseline_oracle") if several else "one mask per image"
    _name(figure, top + block[1] / 2, "Annotators", style.INK, note)
    for m, model in enumerate(models):
        note = _diversity(diversity, model)
        middle = top + (m + 1) * (block[1] + BETWEEN) + block[1] / 2
        _name(figure, middle, labels.get(model, model), colours[model], note)
    for i, example in enumerate(shown):
        drawn = {model: prediction.masks[: rows * columns] for model, prediction in example.predictions.items()}
        part = examples.window([*example.annotations, *(mask for masks in drawn.values() for mask in masks)])
        left = LEFT + i * (block[0] + BETWEEN)
        axes = style.place(figure, left, top, block[1], block[1])
        style.bare(axes)
        axes.annotate(
            " ".join(filter(None, example.description)),
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
            if model in drawn:
                _masks(figure, drawn[model], part, place, block[0], columns, colours[model])
            else:
                axes = style.place(figure, *place, *block)
                style.bare(axes)
                style.empty(axes)
    return figure


def _diversity(values: Mapping[str, float], name: str) -> str:
    value = values.get(name, float("nan"))
    return f"diversity {value:.2f}" if np.isfinite(value) else "diversity: no data"


def _name(figure: Figure, middle: float, name: str, colour: str, note: str) -> None:
    """The name of a row, left of it, with a note below; middle: inches from the top."""
    width, height = figure.get_size_inches()
    text = textwrap.fill(name, 16, break_long_words=False)
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
    """Masks in rows of `across`, from the top left corner `place`, together as wide as `width` (inches)."""
    side = (width + GAP) / across - GAP
    rows = -(-len(masks) // across)
    height = rows * (side + GAP) - GAP
    # One pair of axes for all, in inches: making axes takes longer than drawing in them.
    axes = style.place(figure, *place, width, height)
    style.bare(axes)
    for i, mask in enumerate(masks):
        row, column = divmod(i, across)
        left, top = column * (side + GAP), row * (side + GAP)
        axes.imshow(
            mask[part].astype(float),
            cmap=ListedColormap([PAPER, colour]),
            vmin=0,
            vmax=1,
            interpolation="nearest",
            extent=(left, left + side, top + side, top),
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
    labels = job.spec["labels"]
    of_models = dict(zip(job.spec["models"], samples, strict=True))
    table = style.read_table(summary)
    rows = table[(table["dataset"] == dataset) & (table["metric"] == "diversity")]
    shown = examples.load(data, of_models, IMAGES)
    figure = draw(
        shown,
        style.models_among([*of_models, *job.spec["missing"]], labels),
        dict(zip(rows["model"], rows["mean"], strict=True)),
        labels,
        labels.get(dataset, dataset),
    )
    style.save(figure, png, pdf)


if __name__ == "__main__":
    main()

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

from segunc.data.result_table import read_table
from segunc.figures import examples, style
from segunc.figures.specs import FigureSpec, SamplesSpec
from segunc.runtime.stage import Job, stage

IMAGES = 3
"""Largest number of images."""
COLUMNS, ROWS = 4, 2
"""Masks of one model on one image in a row, and the largest number of rows."""
ANNOTATORS = "Annotators"
BACKGROUND = "#f0f0f0"
THUMB, GAP, BETWEEN, LEFT = 0.42, 0.03, 0.14, 1.15
"""Inches: largest width of a mask, space between masks, between images and models, and for the names of models."""
NARROWEST = 1.75
"""Inches: the least that an image needs, with its masks."""


@style.applied()
def plot(
    shown: Sequence[examples.Example],
    models: Sequence[str],
    diversity: Mapping[str, float],
    spec: FigureSpec,
    title: str,
) -> Figure:
    """A column per image; a row of annotators, then one per model.

    diversity: mean over the test images by model, and its target under ANNOTATORS. A model without predictions gets a
    row labelled `no data`.
    """
    thumb = min(THUMB, ((spec["width"] - LEFT) / max(len(shown), 1) - BETWEEN + GAP) / COLUMNS - GAP)
    block, tall = COLUMNS * (thumb + GAP) - GAP, 2 * (thumb + GAP) - GAP
    several = any(len(example.annotations) > 1 for example in shown)
    notes = {model: _diversity(diversity, model) for model in models}
    notes |= {ANNOTATORS: _diversity(diversity, ANNOTATORS) if several else "one mask per image"}
    names = {ANNOTATORS: ANNOTATORS, **{model: style.label(spec, "models", model) for model in models}}
    names = {row: style.wrapped(name, LEFT - 0.1, 8.5, lines=3) for row, name in names.items()}
    heights = {ANNOTATORS: tall}
    for model in models:
        most = max((len(of.predictions[model].masks) for of in shown if model in of.predictions), default=1)
        lines = min(ROWS, -(-most // COLUMNS))
        heights[model] = max(lines * (thumb + GAP) - GAP, 0.15 * (2 + names[model].count("\n")))
    words = [_caption(example, block) for example in shown]
    top = 0.42 + style.LINE * max((text.count("\n") for text in words), default=0)
    width, height = LEFT + len(shown) * (block + BETWEEN), top + sum(heights.values()) + len(heights) * BETWEEN
    figure = Figure(figsize=(width, height))
    title = style.wrapped(title, width - 0.16, 9, bold=True, lines=1)
    figure.text(0.08 / width, 1 - 0.07 / height, title, va="top", fontweight="bold", fontsize=9)
    windows = []
    for i, example in enumerate(shown):
        every = [mask for of in example.predictions.values() for mask in of.masks[: ROWS * COLUMNS]]
        windows.append(examples.window([*example.annotations, *every]))
        x, y = (LEFT + i * (block + BETWEEN)) / width, 1 - (top - 0.04) / height
        figure.text(x, y, words[i], color=style.GREY, fontsize=style.SMALL, va="bottom", linespacing=1.1)
    for row, name in names.items():
        colour = style.INK if row == ANNOTATORS else style.look(spec, "models", row)["colour"]
        _name(figure, top + heights[row] / 2, name, colour, notes[row])
        for i, (example, part) in enumerate(zip(shown, windows, strict=True)):
            left = LEFT + i * (block + BETWEEN)
            if row == ANNOTATORS:
                axes = style.place(figure, left, top, tall, tall)
                style.hide_axis(axes)
                examples.show_image(axes, example.image, part)
                across = int(np.ceil(np.sqrt(len(example.annotations))))
                _masks(figure, example.annotations, part, (left + tall + GAP, top), tall, across, colour)
            elif row in example.predictions:
                masks = example.predictions[row].masks[: ROWS * COLUMNS]
                _masks(figure, masks, part, (left, top), block, COLUMNS, colour)
            else:
                axes = style.place(figure, left, top, block, heights[row])
                style.hide_axis(axes)
                style.mark_empty(axes)
        top += heights[row] + BETWEEN
    return figure


def _caption(example: examples.Example, width: float) -> str:
    """What is written above an image."""
    marked = style.wrapped(", ".join(filter(None, example.description)), width, style.SMALL, lines=1)
    return f"{marked}\n{style.wrapped(example.image_id, width, style.SMALL, lines=2)}"


def _diversity(values: Mapping[str, float], name: str) -> str:
    value = values.get(name, float("nan"))
    return f"diversity {value:.2f}" if np.isfinite(value) else "diversity: no data"


def _name(figure: Figure, middle: float, name: str, colour: str, note: str) -> None:
    """Writes the name of a row to its left, with a note below; middle: of the row, in inches from the top."""
    width, height = figure.get_size_inches()
    x, y = 0.08 / width, 1 - (middle + 0.07 * name.count("\n")) / height
    figure.text(x, y + 0.01 / height, name, color=colour, va="bottom", fontsize=8.5)
    figure.text(x, y - 0.03 / height, note, color=style.GREY, va="top", fontsize=style.SMALL)


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
    table = read_table(summary)
    rows = table[(table["dataset"] == dataset) & (table["metric"] == "diversity")]
    diversity = {**dict(zip(rows["model"], rows["mean"], strict=True)), ANNOTATORS: rows["target"].mean()}
    images = min(IMAGES, int((spec["width"] - LEFT) / NARROWEST))
    shown, models = examples.load_specified(data, samples, spec, images)
    style.save(plot(shown, models, diversity, spec, style.label(spec, "datasets", dataset)), png, pdf)


if __name__ == "__main__":
    main()

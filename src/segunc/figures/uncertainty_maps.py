"""Figure: where is each model uncertain? Predictive entropy on single test images, next to the annotators' outlines.

After figure 3 of the study. Reads the store of one dataset and the samples of all models with one seed. The images are
spread over the test split (`segunc.figures.examples.choose`). Each is cropped to the foreground of annotators and
predictions and to the pixels with an entropy above half a bit.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from segunc.evaluation.predictions import Prediction
from segunc.figures import examples, style
from segunc.figures.examples import MAJORITY, SOLID_HALO, Look
from segunc.figures.specs import FigureSpec, SamplesSpec
from segunc.runtime.stage import Job, stage

ROWS = 5
PREDICTION = Look("#FFFFFF", (0, (2.5, 2)), SOLID_HALO)
MAP = "inferno"
LEFT, RIGHT, GAP = 0.95, 0.6, 0.05
"""Inches: space for the descriptions of images, for the colour bar, and between pictures."""
LARGEST = 1.25
"""Inches: largest width of a picture."""


@style.applied()
def plot(shown: Sequence[examples.Example], models: Sequence[str], spec: FigureSpec, title: str) -> Figure:
    """A row per image; a column of annotators, then one per model. A model without predictions has `no data`."""
    columns = 1 + len(models)
    side = min(LARGEST, (spec["width"] - LEFT - RIGHT) / columns - GAP)
    descriptions = ["\n".join(example.described(LEFT - 0.06)) for example in shown]
    # A small picture may be lower than the text beside it.
    pitch = GAP + max([side, *(style.LINE * (1 + text.count("\n")) for text in descriptions)])
    names = ["Annotators", *(style.label(spec, "models", model) for model in models)]
    # Names are written upwards if a word of them would be broken.
    upwards = any(style.width_of(word, 8) > side for name in names for word in re.split(r"\s|(?<=-)", name))
    heads = [style.wrapped(name, 1.0 if upwards else side, 8, lines=2 if upwards else 3) for name in names]
    tall = max(style.width_of(line, 8) for head in heads for line in head.split("\n")) if upwards else 0.0
    top = 0.25 + (tall or 0.14 * max(head.count("\n") + 1 for head in heads))
    width = LEFT + columns * (side + GAP) + RIGHT
    handles = _legend(max((len(example.annotations) for example in shown), default=1))
    bottom = 0.12 + style.legend_height(handles, width - LEFT)
    height = top + len(shown) * pitch + bottom
    figure = Figure(figsize=(width, height))
    title = style.wrapped(title, width - LEFT - 0.1, 9, bold=True, lines=1)
    figure.text(LEFT / width, 1 - 0.06 / height, title, va="top", fontweight="bold", fontsize=9)
    for row, example in enumerate(shown):
        part = examples.window(_interest(example))
        y = 1 - (top + row * pitch) / height
        figure.text(0.02 / width, y, descriptions[row], fontsize=style.SMALL, va="top", linespacing=1.1)
        for column in range(columns):
            axes = style.place(figure, LEFT + column * (side + GAP), top + row * pitch, side, side)
            style.hide_axis(axes)
            if row == 0:
                axes.set_title(heads[column], fontsize=8, pad=3, rotation=90 if upwards else 0)
            if column == 0:
                examples.show_image(axes, example.image, part)
                examples.outline_annotators(axes, example.annotations, part)
                continue
            prediction = example.predictions.get(models[column - 1])
            if prediction is None:
                style.mark_empty(axes)
                continue
            axes.imshow(_entropy(prediction)[part], cmap=MAP, vmin=0, vmax=1, interpolation="nearest")
            examples.outline(axes, example.majority, part, MAJORITY)
            examples.outline(axes, prediction.probability > 0.5, part, PREDICTION)
    scale = style.place(figure, width - RIGHT + 0.05, top, 0.1, min(2.2, len(shown) * pitch - GAP))
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), MAP), cax=scale, ticks=[0, 0.5, 1])
    bar.set_label("entropy (bits)", labelpad=2)
    bar.outline.set_linewidth(0.4)
    style.legend(figure, handles, LEFT, height - bottom + 0.06, width - LEFT)
    return figure


def _entropy(prediction: Prediction) -> NDArray:
    """Predictive entropy in bits, (H, W)."""
    assert prediction.uncertainty is not None, "every samples file has uncertainties; only baselines have none"
    return prediction.uncertainty


def _interest(example: examples.Example) -> Iterator[NDArray]:
    """What the row must show, as masks (H, W): foreground of annotators and predictions, and uncertain pixels."""
    yield from example.annotations > 0
    for prediction in example.predictions.values():
        yield prediction.probability > 0.5
        yield _entropy(prediction) > 0.5


def _legend(annotators: int) -> list[Artist]:
    """Legend entries of the outlines."""
    majority = [examples.handle("majority of the annotators", MAJORITY)] if annotators > 1 else []
    prediction = examples.handle("prediction (mean > 0.5)", PREDICTION)
    return [*examples.annotator_handles(annotators), *majority, prediction]


@stage
def main(
    job: Job,
    *,
    dataset: str,  # id of the dataset
    data: Path,  # the dataset's store
    samples: list[Path],  # of the spec's models
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    spec: SamplesSpec = job.spec
    shown, models = examples.load_specified(data, samples, spec, ROWS)
    style.save(plot(shown, models, spec, style.label(spec, "datasets", dataset)), png, pdf)


if __name__ == "__main__":
    main()

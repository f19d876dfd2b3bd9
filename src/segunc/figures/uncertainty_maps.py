"""Figure: where is each model uncertain? Predictive entropy on single test images, next to the annotators' outlines.

After figure 3 of the study. Reads the store of one dataset and the samples of all models with one seed. The images are
spread over the test split (`segunc.figures.examples.choose`). Each is cropped to the foreground of annotators and
predictions and to the pixels with an entropy above half a bit.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from segunc.evaluation.predictions import Prediction
from segunc.figures import examples, style
from segunc.figures.examples import MAJORITY, SOLID_HALO, Look
from segunc.figures.specs import SamplesSpec
from segunc.runtime.stage import Job, stage

ROWS = 5
PREDICTION = Look("#FFFFFF", (0, (2.5, 2)), SOLID_HALO)
MAP = "inferno"
LEFT, RIGHT, GAP = 0.42, 0.6, 0.05
"""Inches: space for the names of rows, for the colour bar, and between pictures."""


def plot(shown: Sequence[examples.Example], models: Sequence[str], labels: Mapping[str, str], title: str) -> Figure:
    """A row per image; a column of annotators, then one per model.

    labels: by model. A model without predictions gets a column labelled `no data`.
    """
    columns = 1 + len(models)
    side = min(1.25, (style.WIDTH - LEFT - RIGHT) / columns - GAP)
    names = ["Annotators", *(labels.get(model, model) for model in models)]
    heads = [style.wrapped(name, side, 8, lines=3) for name in names]
    top = 0.22 + 0.14 * max(head.count("\n") + 1 for head in heads)
    width = LEFT + columns * (side + GAP) + RIGHT
    handles = _legend(max((len(example.annotations) for example in shown), default=1))
    bottom = 0.12 + style.legend_height(handles, width - LEFT)
    figure = Figure(figsize=(width, top + len(shown) * (side + GAP) + bottom))
    height = figure.get_size_inches()[1]
    title = style.wrapped(title, width - LEFT - 0.1, 9, bold=True, lines=1)
    figure.text(LEFT / width, 1 - 0.06 / height, title, va="top", fontweight="bold", fontsize=9)
    for row, example in enumerate(shown):
        part = examples.window(_interest(example))
        for column in range(columns):
            axes = style.place(figure, LEFT + column * (side + GAP), top + row * (side + GAP), side, side)
            style.hide_axis(axes)
            if row == 0:
                axes.set_title(heads[column], fontsize=8, pad=3)
            if column == 0:
                axes.set_ylabel(
                    "\n".join(filter(None, example.description)), fontsize=style.SMALL, labelpad=3, linespacing=1.1
                )
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
    tall = min(2.2, len(shown) * (side + GAP) - GAP)
    scale = style.place(figure, width - RIGHT + 0.05, top, 0.1, tall)
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
    labels = spec["labels"]
    shown, models = examples.load_specified(data, samples, spec, ROWS)
    style.save(plot(shown, models, labels, labels.get(dataset, dataset)), png, pdf)


if __name__ == "__main__":
    main()

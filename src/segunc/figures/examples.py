"""Single images in figures: which ones to show, the part of them that is shown, and outlines of masks."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from segunc.data.store import Images, read_split
from segunc.evaluation.predictions import Prediction, read_predictions
from segunc.figures import style
from segunc.figures.specs import SamplesSpec
from segunc.runtime.errors import UserError

Dashes = str | tuple[float, tuple[float, ...]]
HALO = [patheffects.withStroke(linewidth=1.8, foreground="black", alpha=0.6)]
SOLID_HALO = [
    patheffects.Stroke(linewidth=1.8, foreground="black", dashes={"dash_offset": 0, "dash_list": None}),
    patheffects.Normal(),
]
"""A dark rim around the dashes of a line (HALO) or all along it (SOLID_HALO), so that it shows on any colour."""
WHOLE = (slice(None), slice(None))
"""Rows and columns of an image that is not cropped."""
SMALLEST_WINDOW = 0.4
"""Smallest crop, as a share of the image's shorter side: the surroundings of a lesion help to judge it."""


class Example(NamedTuple):
    """One image with everything that figures show of it."""

    image_id: str
    image: NDArray[np.uint8]
    """(C, H, W)"""
    annotations: NDArray[np.uint8]
    """(A, H, W): the existing masks, 0 or 1."""
    predictions: dict[str, Prediction]
    """By model."""

    @property
    def positive_annotators(self) -> int:
        """How many annotators marked something."""
        return int(self.annotations.any(axis=(1, 2)).sum())

    @property
    def majority(self) -> NDArray[np.bool_]:
        """(H, W): what more than half of the annotators marked."""
        return self.annotations.mean(axis=0) > 0.5

    @property
    def foreground_share(self) -> str:
        """Foreground pixels in percent, the mean over annotators, with one or two significant digits."""
        percent = 100 * self.annotations.mean()
        return f"{percent:.0f}%" if percent >= 10 else f"{percent:.{1 if percent < 0.1 else 2}g}%"

    @property
    def description(self) -> tuple[str, str]:
        """How many annotators marked something (empty if there is only one), and the foreground share."""
        annotators = len(self.annotations)
        marked_by = f"marked by {self.positive_annotators}/{annotators}" if annotators > 1 else ""
        return marked_by, f"{self.foreground_share} of pixels"

    def described(self, width: float) -> list[str]:
        """Lines of SMALL text, at most `width` inches wide: the description, then the id, shortened to three lines."""
        return [*filter(None, self.description), *style.wrapped(self.image_id, width, style.SMALL, lines=3).split("\n")]


def load_specified(data: Path, samples: Sequence[Path], spec: SamplesSpec, n: int) -> tuple[list[Example], list[str]]:
    """n test images with the predictions of the spec's models, and all models that the figure has a place for.

    samples: the files of `spec["models"]`. The returned models are in the order of the labels and include
    `spec["missing"]`, of which the images have no prediction.
    """
    of_models = dict(zip(spec["models"], samples, strict=True))
    models = style.models_among(spec, [*of_models, *spec["missing"]])
    return load(data, of_models, spec["seed"], n), models


def load(data: Path, samples: Mapping[str, Path], seed: int, n: int) -> list[Example]:
    """n test images of a seed (see `choose`) with their predictions; samples: one file per model, of that seed.

    Raises UserError if the test split is empty or a samples file does not belong to it.
    """
    test = read_split(data, "test", seed)
    if not len(test.image_id):
        raise UserError(f"{data} has no images in its test split; change the dataset's split in the config.")
    rows = choose(test, n)
    predictions: list[dict[str, Prediction]] = [{} for _ in rows]
    for model, path in samples.items():
        for row, prediction in enumerate(read_predictions(path, test)):
            if row in rows:
                predictions[rows.index(row)][model] = prediction
    return [
        Example(test.image_id[row], test.images[row], test.masks[row][test.annotated[row]], by_model)
        for row, by_model in zip(rows, predictions, strict=True)
    ]


def choose(test: Images, n: int) -> list[int]:
    """Row numbers of n images spread over numbers of annotators and foreground shares; all of them if N < n.

    The images are ranked in descending order of the number of annotators who marked something, then of the foreground
    share, then by id. The ranking is cut into n equal parts. For each part, the image nearest to its middle is chosen
    whose patient is not shown yet, or if there is none, any image that is not shown yet. The choice does not depend on
    predictions.
    """
    positive_annotators = test.masks.any(axis=(2, 3)).sum(axis=1)
    foreground = test.masks.mean(axis=(2, 3)).sum(axis=1) / np.maximum(test.annotated.sum(axis=1), 1)
    return choose_spread(positive_annotators, foreground, test.image_id, test.patient_id, n)


def choose_spread(
    positive_annotators: NDArray, foreground: NDArray, image_id: NDArray, patient_id: NDArray, n: int
) -> list[int]:
    """The same for any N images, from what the ranking is by; all arrays are (N,)."""
    ranking = np.lexsort((image_id, -foreground, -positive_annotators))
    rows: list[int] = []
    for part in range(min(n, len(ranking))):
        middle = (part + 0.5) / n * len(ranking) - 0.5
        nearest = ranking[np.argsort(np.abs(np.arange(len(ranking)) - middle), kind="stable")]
        left = [int(row) for row in nearest if row not in rows]
        seen = set(patient_id[rows])
        rows.append(next((row for row in left if patient_id[row] not in seen), left[0]))
    return sorted(rows, key=ranking.tolist().index)


def window(masks: Iterable[NDArray]) -> tuple[slice, slice]:
    """Rows and columns of the smallest square of the image that contains the foreground of all masks, with a margin.

    masks: bool or 0/1, (H, W) each. The square is at least SMALLEST_WINDOW of the image. The result is the whole image
    if all masks are empty or no square contains their foreground.
    """
    interest = np.any(list(masks), axis=0)
    shape = np.array(interest.shape)
    where = np.argwhere(interest)
    if not len(where) or np.ptp(where, axis=0).max() >= shape.min():
        return slice(0, int(shape[0])), slice(0, int(shape[1]))
    low, high = where.min(axis=0), where.max(axis=0) + 1
    size = int(min(max(1.3 * (high - low).max(), SMALLEST_WINDOW * shape.min()), shape.min()))
    row, column = (int(start) for start in np.clip((low + high - size) // 2, 0, shape - size))
    return slice(row, row + size), slice(column, column + size)


def show_image(axes: Axes, image: NDArray[np.uint8], part: tuple[slice, slice]) -> None:
    """Shows a part of an image (C, H, W), grey or RGB."""
    pixels = np.moveaxis(image[(slice(None), *part)], 0, -1)
    if pixels.shape[-1] == 1:
        axes.imshow(pixels[..., 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    else:
        axes.imshow(pixels, interpolation="nearest")


class Look(NamedTuple):
    """The look of an outline."""

    colour: str
    dashes: Dashes
    halo: list = HALO


# Bright on grey CT and on skin. As the dashes differ, outlines that coincide can still be told apart.
ANNOTATORS = (
    Look("#FFD92F", "solid"),
    Look("#FF7AC6", (0, (4, 1.5))),
    Look("#8CFF66", (0, (1.2, 1.2))),
    Look("#FF9A3C", (0, (5, 1, 1, 1))),
)
MAJORITY = Look("#4DE1FF", "solid")
"""Look of the majority of the annotators, and of a single annotator."""


def outline(axes: Axes, mask: NDArray, part: tuple[slice, slice], look: Look) -> None:
    """Draws the border of a mask (H, W) in that part of the image; nothing for an empty mask."""
    pixels = mask[part].astype(float)
    if not pixels.any():
        return
    # With a rim of zeros, the outline is closed where the mask touches the edge of the image.
    rim = np.pad(pixels, 1)
    x, y = np.arange(-1, pixels.shape[1] + 1), np.arange(-1, pixels.shape[0] + 1)
    border = axes.contour(x, y, rim, levels=[0.5], colors=[look.colour], linestyles=[look.dashes], linewidths=[1.0])
    border.set_path_effects(look.halo)
    axes.set(xlim=(-0.5, pixels.shape[1] - 0.5), ylim=(pixels.shape[0] - 0.5, -0.5))


def outline_annotators(axes: Axes, annotations: NDArray, part: tuple[slice, slice]) -> None:
    """Draws the borders of the masks (A, H, W) of all annotators."""
    looks = ANNOTATORS if len(annotations) > 1 else (MAJORITY,)
    for mask, look in zip(annotations, cycle(looks), strict=False):
        outline(axes, mask, part, look)


def handle(name: str, look: Look) -> Line2D:
    """The legend entry of an outline."""
    return Line2D([], [], color=look.colour, ls=look.dashes, lw=1.2, label=name, path_effects=look.halo)


def annotator_handles(annotators: int) -> list[Artist]:
    """Legend entries of the outlines of annotators."""
    if annotators == 1:
        return [handle("annotator", MAJORITY)]
    return [handle(f"annotator {a + 1}", look) for a, look in enumerate(ANNOTATORS[:annotators])]

"""Single test images: which ones to show, which part of them, and how masks become outlines and pictures."""

from collections.abc import Iterable, Mapping
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
from segunc.runtime.errors import UserError

Dashes = str | tuple[float, tuple[float, ...]]
HALO = [patheffects.withStroke(linewidth=1.8, foreground="black", alpha=0.6)]
SOLID_HALO = [
    patheffects.Stroke(linewidth=1.8, foreground="black", dashes={"dash_offset": 0, "dash_list": None}),
    patheffects.Normal(),
]
"""Black below a line, in the line's dashes or also between them: so it shows on any colour."""
SMALLEST_WINDOW = 0.4
"""The shown part of an image is at least this share of its width: something around a lesion helps to judge it."""


class Example(NamedTuple):
    """One test image with everything that is shown of it."""

    image_id: str
    image: NDArray[np.uint8]
    """(C, H, W)"""
    annotations: NDArray[np.uint8]
    """(A, H, W): the existing masks."""
    predictions: dict[str, Prediction]
    """By model."""

    @property
    def votes(self) -> int:
        """Annotators who marked something."""
        return int(self.annotations.any(axis=(1, 2)).sum())

    @property
    def truth(self) -> NDArray[np.bool_]:
        """(H, W): what more than half of the annotators marked."""
        return self.annotations.mean(axis=0) > 0.5

    @property
    def description(self) -> tuple[str, str]:
        """How many annotators marked something (empty if there is only one), and how much."""
        annotators, percent = len(self.annotations), 100 * self.annotations.mean()
        share = f"{percent:.0f}%" if percent >= 10 else f"{percent:.{1 if percent < 0.1 else 2}g}%"
        return (
            (f"{self.votes} of {annotators} mark", f"{share} of pixels") if annotators > 1 else ("", f"{share} marked")
        )


def load(data: Path, samples: Mapping[str, Path], n: int) -> list[Example]:
    """The `chosen` test images; samples: one file per model. Raises UserError if there are none or they do not fit."""
    test = read_split(data, "test")
    if not len(test.image_id):
        raise UserError(f"{data} has no images in its test split; change the dataset's split in the config.")
    rows = chosen(test, n)
    predictions: list[dict[str, Prediction]] = [{} for _ in rows]
    for model, path in samples.items():
        for row, prediction in enumerate(read_predictions(path, test.image_id)):
            if row in rows:
                predictions[rows.index(row)][model] = prediction
    return [
        Example(test.image_id[row], test.images[row], test.masks[row][test.annotated[row]], by_model)
        for row, by_model in zip(rows, predictions, strict=True)
    ]


def chosen(test: Images, n: int) -> list[int]:
    """Rows of n images spread over the whole range of votes and sizes, from most to least; fewer if there are fewer.

    The images are ranked by votes (annotators who marked something), then by share of marked pixels, then by id. From
    the middle of each n-th of the ranking, the nearest image is taken whose patient is not shown yet, or if there is
    none, that is not shown itself. No model has a say in it.
    """
    votes = test.masks.any(axis=(2, 3)).sum(axis=1)
    marked = test.masks.mean(axis=(2, 3)).sum(axis=1) / np.maximum(test.annotated.sum(axis=1), 1)
    return spread(votes, marked, test.image_id, test.patient_id, n)


def spread(votes: NDArray, marked: NDArray, image_id: NDArray, patient_id: NDArray, n: int) -> list[int]:
    """The same of any N images, of which all arguments have one entry each."""
    ranking = np.lexsort((image_id, -marked, -votes))
    rows: list[int] = []
    for part in range(min(n, len(ranking))):
        middle = (part + 0.5) / n * len(ranking) - 0.5
        nearest = ranking[np.argsort(np.abs(np.arange(len(ranking)) - middle), kind="stable")]
        left = [int(row) for row in nearest if row not in rows]
        seen = set(patient_id[rows])
        rows.append(next((row for row in left if patient_id[row] not in seen), left[0]))
    return sorted(rows, key=ranking.tolist().index)


def window(masks: Iterable[NDArray]) -> tuple[slice, slice]:
    """Rows and columns of the smallest square of the image that holds all masks (H, W) and a margin.

    It is at least SMALLEST_WINDOW of the image, and all of it if nothing is marked or no square holds everything.
    """
    interest = np.any(list(masks), axis=0)
    shape = np.array(interest.shape)
    where = np.argwhere(interest)
    if not len(where) or np.ptp(where, axis=0).max() >= shape.min():
        return slice(0, int(shape[0])), slice(0, int(shape[1]))
    low, high = where.min(axis=0), where.max(axis=0) + 1
    side = int(min(max(1.3 * (high - low).max(), SMALLEST_WINDOW * shape.min()), shape.min()))
    row, column = (int(start) for start in np.clip((low + high - side) // 2, 0, shape - side))
    return slice(row, row + side), slice(column, column + side)


def show_image(axes: Axes, image: NDArray[np.uint8], part: tuple[slice, slice]) -> None:
    """The part of an image (C, H, W), grey or RGB."""
    pixels = np.moveaxis(image[(slice(None), *part)], 0, -1)
    if pixels.shape[-1] == 1:
        axes.imshow(pixels[..., 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    else:
        axes.imshow(pixels, interpolation="nearest")


class Look(NamedTuple):
    """Of an outline."""

    colour: str
    dashes: Dashes
    halo: list = HALO


# Bright on grey CT and on skin; with the linestyles, outlines that coincide still show.
ANNOTATORS = (
    Look("#FFD92F", "solid"),
    Look("#FF7AC6", (0, (4, 1.5))),
    Look("#8CFF66", (0, (1.2, 1.2))),
    Look("#FF9A3C", (0, (5, 1, 1, 1))),
)
TRUTH = Look("#4DE1FF", "solid")
"""Of what the annotators' majority marked, or the only one."""


def outline(axes: Axes, mask: NDArray, part: tuple[slice, slice], look: Look) -> None:
    """The border of a mask (H, W) in that part of it; nothing for an empty one."""
    pixels = mask[part].astype(float)
    if not pixels.any():
        return
    # With a rim of zeros, the border closes where the mask meets the edge of the image.
    rim = np.pad(pixels, 1)
    x, y = np.arange(-1, pixels.shape[1] + 1), np.arange(-1, pixels.shape[0] + 1)
    border = axes.contour(x, y, rim, levels=[0.5], colors=[look.colour], linestyles=[look.dashes], linewidths=[1.0])
    border.set_path_effects(look.halo)
    axes.set(xlim=(-0.5, pixels.shape[1] - 0.5), ylim=(pixels.shape[0] - 0.5, -0.5))


def outline_annotators(axes: Axes, annotations: NDArray, part: tuple[slice, slice]) -> None:
    """The borders of the masks (A, H, W) of all annotators."""
    looks = ANNOTATORS if len(annotations) > 1 else (TRUTH,)
    for mask, look in zip(annotations, cycle(looks), strict=False):
        outline(axes, mask, part, look)


def handle(name: str, look: Look) -> Line2D:
    """An outline's entry in a legend."""
    return Line2D([], [], color=look.colour, ls=look.dashes, lw=1.2, label=name, path_effects=look.halo)


def annotator_handles(annotators: int) -> list[Artist]:
    """Entries of the outlines of several annotators."""
    return [handle(f"annotator {a + 1}", look) for a, look in enumerate(ANNOTATORS[:annotators])]

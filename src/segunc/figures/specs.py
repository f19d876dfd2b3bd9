"""The specs of figures, as their programs read them from JSON. `segunc.config.specs` writes them.

Labels are what a figure prints for an id. Figures keep the order of the labels, which is that of the grid.
"""

from typing import TypedDict


class Look(TypedDict):
    """How a model or a strategy looks in every figure."""

    colour: str
    """Such as `#0072B2`."""
    marker: str
    """One of matplotlib's."""


class FigureSpec(TypedDict):
    """Of any figure."""

    labels: dict[str, dict[str, str]]
    """By family (`datasets`, and if they are shown, `models` and `strategies`) and id."""
    looks: dict[str, dict[str, Look]]
    """By family (`models`, `strategies`) and id."""
    width: float
    """Inches: the largest width of the figure."""


class TableSpec(FigureSpec):
    """Of a figure of tables."""

    confidence: float
    """Level of intervals, in (0, 1)."""


class CostSpec(TableSpec):
    """Of the figure of costs and quality."""

    costs: dict[str, dict[str, float]]
    """Multiply-adds of predicting an image, relative to those of a pass through one U-Net, by dataset and model."""


class SamplesSpec(FigureSpec):
    """Of a figure of one dataset's samples."""

    seed: int
    """Of the training runs whose samples are shown."""
    models: list[str]
    """Those with a samples file, in the order of the files."""
    missing: list[str]
    """The other models of the grid."""


class TrainingSpec(FigureSpec):
    """Of a figure of one dataset's training runs."""

    runs: list[tuple[str, int]]
    """Model and seed of those with a history, in the order of the files."""
    missing: list[tuple[str, int]]
    """The other runs of the grid."""


class PicksSpec(FigureSpec):
    """Of a figure of the images that strategies pick for one model and seed."""

    model: str
    seed: int
    strategies: list[str]
    """Those with a labelled set, in the order of the files."""
    missing: list[str]
    """The other strategies of the grid."""

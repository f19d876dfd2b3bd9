"""The specs of figures, as their programs read them from JSON. `segunc.config.specs` writes them.

Labels are what a figure prints for an id. Figures keep the order of the labels, which is that of the config.
"""

from typing import TypedDict


class FigureSpec(TypedDict):
    """Of a figure of tables, or of one dataset's store."""

    labels: dict[str, str]
    """Of datasets and models, by id."""


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


class ActiveLabels(TypedDict):
    """Labels by id."""

    datasets: dict[str, str]
    models: dict[str, str]
    strategies: dict[str, str]


class ActiveSpec(TypedDict):
    """Of a figure of the tables of active learning."""

    labels: ActiveLabels
    confidence: float
    """Level of intervals, in (0, 1)."""


class PicksSpec(TypedDict):
    """Of a figure of the images that strategies pick for one model and seed."""

    labels: ActiveLabels
    model: str
    seed: int
    strategies: list[str]
    """Those with a labelled set, in the order of the files."""
    missing: list[str]
    """The other strategies of the grid."""

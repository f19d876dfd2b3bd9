"""Shape of the U-Net and the statistics that it is built with. Imports no torch, so that costs can be estimated."""

from collections.abc import Sequence
from typing import NamedTuple


class Backbone(NamedTuple):
    """Shape of the U-Net: the config's `backbone`."""

    filters: Sequence[int]
    """Channels per level, finest first."""
    convolutions: int
    """3x3 convolutions per block."""
    normalisation: str
    """batch or none."""


def flow_network(backbone: Backbone) -> tuple[int, Backbone]:
    """Input channels and shape of the small U-Net of a flow at full resolution, which has up to three levels.

    Each has 16 channels, or as many as the backbone's finest level if that has fewer. It sees the features of that
    level, and two channels more.
    """
    levels, channels = min(3, len(backbone.filters)), min(16, backbone.filters[0])
    return backbone.filters[0] + 2, backbone._replace(filters=[channels] * levels)


class DataStatistics(NamedTuple):
    """Statistics of the training data that a network is built with."""

    mean: Sequence[float]
    """Mean per channel of the training images in [0, 1]; its length is the number of channels."""
    std: Sequence[float]
    """Standard deviation per channel, same units."""
    foreground: float
    """Fraction of foreground pixels in the training masks, in (0, 1)."""

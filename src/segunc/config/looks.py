"""How models and strategies look in figures: colours and markers where the config specifies none.

They go by the place in the catalogue, so that an entry looks the same in every grid. Models have solid lines and filled
markers, strategies dashes, open markers and a palette of their own, so that the two are not confused.
"""

from collections.abc import Mapping
from typing import Literal, Protocol, get_args

Marker = Literal["o", "s", "^", "D", "v", "P", "X", "<", "*", ">"]
"""Matplotlib's markers that can be told apart at the size of a point in a figure."""
MARKERS: tuple[str, ...] = get_args(Marker)
PALETTES: dict[str, tuple[str, ...]] = {
    # Okabe and Ito 2008 without yellow, which is too pale for lines on white, then four darker ones.
    "models": (
        "#0072B2",
        "#D55E00",
        "#009E73",
        "#CC79A7",
        "#56B4E9",
        "#E69F00",
        "#3322DD",
        "#4D2600",
        "#1A1A66",
        "#6B0044",
    ),
    # Tol 2021, "muted". The first is ink, and a brown replaces the palest colour.
    "strategies": (
        "#222222",
        "#CC6677",
        "#332288",
        "#999933",
        "#44AA99",
        "#882255",
        "#117733",
        "#5A3A00",
        "#AA4499",
        "#88CCEE",
    ),
}
"""By catalogue; its colours are distinguishable with any colour vision."""


class Entry(Protocol):
    """An entry of a catalogue."""

    colour: str | None
    marker: str | None


def looks(family: str, catalogue: Mapping[str, Entry]) -> dict[str, dict[str, str]]:
    """`colour` and `marker` of each entry: its own or, if it has none, those of its place.

    family: `models` or `strategies`. From the eleventh place on, colours repeat with other markers.
    """
    palette = PALETTES[family]
    return {
        name: {
            "colour": entry.colour or palette[place % len(palette)],
            "marker": entry.marker or MARKERS[(place + place // len(palette)) % len(MARKERS)],
        }
        for place, (name, entry) in enumerate(catalogue.items())
    }

"""What a figure shows, and whether it can be read."""

from types import SimpleNamespace

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from matplotlib.text import Text

from segunc.config.looks import PALETTES, looks
from segunc.figures import style

WIDTH, NARROW = 6.89, 4.72
"""Inches: pages of two columns and of one."""
MARKUP = '<i>$x_1$</i>{0}%s"\\a"'
LONG = [
    "a label of many words that goes on and on until it is nearly a hundred letters long, as one may be ",
    97 * "W",
    20 * "deep-",
    MARKUP,
]
"""Labels that are longer than their places, of which a number makes several; and one with markup."""


def spec_of(labels, **settings):
    """The spec of a figure with these labels by family and id."""
    entry = SimpleNamespace(colour=None, marker=None)
    of = {family: looks(family, dict.fromkeys(labels.get(family, ()), entry)) for family in PALETTES}
    return {"labels": labels, "looks": of, "width": WIDTH, "confidence": 0.95, **settings}


def texts_of(figure):
    """All visible texts, with their boxes in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    # Ticks and layout get their places when a figure is drawn; pixels are not needed, and a second time not either.
    if figure.stale:
        with style.applied():
            figure.draw_without_rendering()
    hidden = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(text, text.get_window_extent(renderer)) for text in found if text not in hidden]


def words(figure):
    """The visible texts as strings."""
    return [text.get_text() for text, _ in texts_of(figure)]


def titles_of(figure):
    """Titles of the panels."""
    return [axes.get_title(loc="left") for axes in figure.axes]


def legend_of(figure):
    """Labels and colours of the legend."""
    handles = figure.legends[0].legend_handles
    return [(h.get_label(), h.get_color() if isinstance(h, Line2D) else h.get_facecolor()) for h in handles]


def assert_readable(figures, page=WIDTH):
    """No text is too small, cut off or overlaps another one, and the figures (by name) fit the page."""
    for name, figure in figures.items():
        width, height = figure.canvas.get_width_height()
        assert figure.get_size_inches()[0] <= page + 0.01, name
        boxes = texts_of(figure)
        for text, box in boxes:
            what = f"{name}: {text.get_text()!r}"
            assert text.get_fontsize() >= 7, what
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width + 0.5 and box.y1 <= height + 0.5, what
        left, bottom, right, top = np.array([box.extents for _, box in boxes]).T
        across = np.minimum.outer(right, right) - np.maximum.outer(left, left)
        along = np.minimum.outer(top, top) - np.maximum.outer(bottom, bottom)
        # Boxes have room for descenders that most words lack.
        overlaps = np.argwhere(np.triu((across >= 2) & (along >= 2), 1))
        pairs = [[boxes[i][0].get_text() for i in pair] for pair in overlaps]
        assert not pairs, f"{name}: texts on each other: {pairs}"

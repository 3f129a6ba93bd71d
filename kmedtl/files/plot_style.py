"""What all figures share: colours that differ in greyscale too, sizes, empty axes."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kmedtl.files.theme import ACCENT, INK, SERIES, SOFT

__all__ = ["ACCENT", "INK", "SIDE", "SOFT", "bare", "series", "single", "square"]

SIDE = 4.2  # inches: as wide as a phone shows letters large enough to read
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))  # one for each of `SERIES`


def series(number: int) -> dict[str, Any]:
    """Return colour, line and width of one of several curves."""
    color, line = SERIES[number % len(SERIES)], LINES[(number + number // len(SERIES)) % len(LINES)]
    return {"color": color, "linestyle": line, "linewidth": 2}


def square(title: str, x: str, y: str, height: float = SIDE) -> tuple[Figure, Axes]:
    """Return a figure of one panel whose axes both run from 0 to 1."""
    figure, axes = single(title, x, y, height=height)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure, axes


def single(title: str, x: str, y: str, width: float = SIDE, height: float = SIDE) -> tuple[Figure, Axes]:
    """Return a figure of one panel, so many inches wide and high."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    bare(axes)
    return figure, axes


def bare(axes: Axes) -> None:
    """Leave out the frame above and to the right."""
    axes.spines[["top", "right"]].set_visible(False)

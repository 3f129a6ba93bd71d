"""What all figures share: colours that differ in greyscale too, sizes, empty axes."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, ACCENT, SOFT = "#1f2937", "#2563eb", "#94a3b8"
SIDE = 4.2  # inches
# Okabe & Ito, Color Universal Design (2008), from dark to light, each with a line of its own.
SERIES = (
    ("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#CC79A7", ":"),
    ("#000000", (0, (5, 1))), ("#E69F00", (0, (3, 1, 1, 1))), ("#56B4E9", (0, (1, 1))),
)  # fmt: skip


def series(number: int) -> dict[str, Any]:
    """Return colour, line and width of one of several curves."""
    color, line = SERIES[number % len(SERIES)][0], SERIES[(number + number // len(SERIES)) % len(SERIES)][1]
    return {"color": color, "linestyle": line, "linewidth": 2}


def square(title: str, x: str, y: str, width: float = SIDE) -> tuple[Figure, Axes]:
    """Return a figure of one panel whose axes both run from 0 to 1."""
    figure, axes = single(title, x, y, width)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure, axes


def single(title: str, x: str, y: str, width: float = SIDE) -> tuple[Figure, Axes]:
    """Return a figure of one panel, `width` inches wide."""
    figure = Figure(figsize=(width, SIDE), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    bare(axes)
    return figure, axes


def bare(axes: Axes) -> None:
    """Leave out the frame above and to the right."""
    axes.spines[["top", "right"]].set_visible(False)

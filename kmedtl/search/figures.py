"""A search's figures: its trials as lines across their settings, and what the objective hung on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from kmedtl.files.plot_style import ACCENT, INK, SIDE, SOFT, bare
from kmedtl.recipe.search import Range, Span
from kmedtl.search.setting_importance import Importance

TICKS = 5
# Even to the eye, in greyscale too; its ends would not be seen on a dark page, or on a light one.
MAP = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0.3, 0.9, 256)))


def parallel_coordinates(trials: pd.DataFrame, space: dict[str, Range], objective: str, best: str) -> Figure:
    """Draw a line a trial: left to right its settings, at the right its objective, which colours it; the best is thick.

    Args:
        trials: of `kmedtl.search.records.table`, those with figures.
        space: path → range, an axis each.
        best: number of the best trial.
    """
    names = [*space, objective]
    heights = {name: _heights(trials[name], space.get(name)) for name in names}
    figure = Figure(figsize=(max(2 * SIDE, 1.5 * len(names)), SIDE), layout="constrained")
    axes = figure.subplots()
    scale = Normalize(trials[objective].min(), trials[objective].max())
    colours = MAP(scale(trials[objective].to_numpy(float)))
    lines = np.stack([heights[name] for name in names], axis=1)
    for number in np.argsort(trials["trial"].to_numpy() == best, kind="stable"):  # the best on top
        is_best = trials["trial"].iloc[number] == best
        axes.plot(lines[number], color=INK if is_best else colours[number], linewidth=2.5 if is_best else 1, alpha=0.85)
    for place, name in enumerate(names):
        axes.axvline(place, color=SOFT, linewidth=1)
        for height, text in _ticks(trials[name], space.get(name)):
            axes.annotate(text, (place, height), (3, 0), textcoords="offset points", fontsize=8, va="center")
    axes.set_xticks(range(len(names)), ["\n".join(name.rsplit(".", 1)) for name in names], fontsize=8)
    axes.set(yticks=[], ylim=(-0.05, 1.05), xlim=(-0.1, len(names) - 0.4))
    axes.spines[:].set_visible(False)
    figure.colorbar(ScalarMappable(scale, MAP), ax=axes, label=objective, fraction=0.03)
    return figure


def importances(found: Importance) -> Figure:
    """Draw the share of each setting, the largest on top."""
    figure = Figure(figsize=(1.4 * SIDE, 1 + 0.35 * len(found.shares)), layout="constrained")
    axes: Axes = figure.subplots()
    axes.barh(list(found.shares), list(found.shares.values()), color=ACCENT)
    axes.invert_yaxis()
    axes.set(xlabel="Share of the importance", xlim=(0, 1))
    bare(axes)
    return figure


def _heights(values: pd.Series, choices: Range | None) -> np.ndarray:
    """Return where on its axis each value lies, 0–1."""
    if isinstance(choices, tuple):
        order = list(choices)
        return np.array([order.index(value) for value in values]) / max(len(order) - 1, 1)
    low, high, is_log = _ends(values, choices)
    numbers = values.to_numpy(float)
    if is_log:
        numbers, low, high = np.log(numbers), np.log(low), np.log(high)
    return (numbers - low) / (high - low) if high > low else np.full(len(values), 0.5)


def _ticks(values: pd.Series, choices: Range | None) -> Sequence[tuple[float, str]]:
    if isinstance(choices, tuple):
        return [(number / max(len(choices) - 1, 1), str(choice)) for number, choice in enumerate(choices)]
    low, high, is_log = _ends(values, choices)
    marks: Any = np.geomspace(low, high, TICKS) if is_log else np.linspace(low, high, TICKS)
    return [(number / (TICKS - 1), f"{mark:.3g}") for number, mark in enumerate(marks)]


def _ends(values: pd.Series, choices: Span | None) -> tuple[float, float, bool]:
    if choices is None:  # the objective
        return float(values.min()), float(values.max()), False
    return choices.min, choices.max, choices.scale == "log"

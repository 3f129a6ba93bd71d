"""Runs beside each other, and one run under corruptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kmedtl.files.plot_style import ACCENT, SIDE, SOFT, bare, series
from kmedtl.runs.compare import Run
from kmedtl.system.titles import title


def severities(table: pd.DataFrame, figure_name: str, title: str) -> Figure:
    """Draw a figure against severity, a panel a corruption, over the table of `kmedtl.runs.shift.Shift`.

    Each line starts from the clean images, severity 0; the band is the 95 % interval.
    """
    clean, corrupted = table[table["severity"] == 0], table[table["severity"] > 0]
    names, columns = corrupted["corruption"].unique(), 4
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(2 * SIDE, 1.9 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        part = pd.concat([clean, corrupted[corrupted["corruption"] == name]])
        axes.axhline(clean[figure_name].iloc[0], color=SOFT, linewidth=1, linestyle="--")
        axes.fill_between(
            part["severity"],
            part[f"{figure_name}_low"],
            part[f"{figure_name}_high"],
            color=ACCENT,
            alpha=0.15,
            linewidth=0,
        )
        axes.plot(part["severity"], part[figure_name], color=ACCENT, marker="o", markersize=3)
        axes.set_title(name.replace("_", " "), fontsize=10)
        axes.set_xticks(part["severity"])
        bare(axes)
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    figure.supxlabel("Severity; 0: clean", fontsize=10)
    figure.supylabel(title, fontsize=10)
    return figure


def data_efficiency(curves: Mapping[str, Sequence[Run]]) -> Figure:
    """Draw the test's headline figure with its 95 % interval against training images, a line a title of `curves`."""
    figure = Figure(figsize=(2 * SIDE, SIDE), layout="constrained")
    axes = figure.subplots()
    for number, (name, runs) in enumerate(curves.items()):
        beside = 1 + 0.02 * (number - (len(curves) - 1) / 2)  # so that intervals at one number do not cover each other
        images = [run.training_images * beside for run in runs]
        values = [run.headline.value for run in runs]
        axes.errorbar(images, values, _reach(runs), marker="o", capsize=3, label=name, **series(number))
    everything = [run for runs in curves.values() for run in runs]
    numbers = sorted({run.training_images for run in everything})
    axes.set(title=_title(everything), xlabel="Training images", ylabel=_named(everything), xscale="log")
    axes.set_xticks(numbers, [f"{number:,}" for number in numbers])
    axes.minorticks_off()
    figure.legend(loc="outside lower center", frameon=False, fontsize=9)
    bare(axes)
    return figure


def headlines(runs: Sequence[Run]) -> Figure:
    """Draw the headline figure of each run's test with its 95 % interval, in their order from top to bottom."""
    figure = Figure(figsize=(1.4 * SIDE, 1 + 0.4 * len(runs)), layout="constrained")
    axes = figure.subplots()
    places = range(len(runs))
    axes.errorbar([run.headline.value for run in runs], places, xerr=_reach(runs), fmt="o", color=ACCENT, capsize=3)
    axes.set_yticks(places, [run.name for run in runs])
    axes.invert_yaxis()
    axes.set(title=_title(runs), xlabel=_named(runs))
    bare(axes)
    return figure


def _title(runs: Sequence[Run]) -> str:
    synthetic = any(run.notice for run in runs)
    return f"{_named(runs)} with 95 % interval" + (" – synthetic images" if synthetic else "")


def _reach(runs: Sequence[Run]) -> np.ndarray:
    """Return how far each interval reaches below and above its figure, (2, runs)."""
    return np.array([[run.headline.value - run.headline.low, run.headline.high - run.headline.value] for run in runs]).T


def _named(runs: Sequence[Run]) -> str:
    return f"Test {title(runs[0].figure)}"

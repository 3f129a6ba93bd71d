"""How a model learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kmedtl.files.plot_style import ACCENT, INK, SIDE, SOFT, bare, single


def losses(history: pd.DataFrame) -> Figure:
    """Draw the losses of training and validation by epoch; a line marks where each stage begins."""
    return _by_epoch(history, "Loss", {"loss": ("training", SOFT), "val_loss": ("validation", ACCENT)})


def validation(history: pd.DataFrame, column: str, title: str) -> Figure:
    """Draw a figure of validation by epoch; a line marks where each stage begins."""
    return _by_epoch(history, f"Validation {title}", {column: ("", ACCENT)})


def importance(stages: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw each block's relative gradient norm, a panel an adaptive stage, from input to output."""
    figure = Figure(figsize=(SIDE, 2.6 * len(stages)), layout="constrained")
    for axes, (stage, blocks) in zip(figure.subplots(len(stages), squeeze=False).flat, stages.items(), strict=True):
        axes.bar(list(blocks), list(blocks.values()), color=ACCENT)
        axes.set(title=f"Importance before stage {stage}", ylabel="‖gradient‖ / ‖weights‖")
        axes.tick_params(axis="x", labelrotation=45 if len(blocks) > 8 else 0)
        bare(axes)
    return figure


def range_tests(stages: Mapping[str, tuple[Sequence[float], Sequence[float], float]]) -> Figure:
    """Draw the smoothed loss against the rate of each range test (rates, losses, chosen rate), a panel a stage."""
    figure = Figure(figsize=(SIDE, 2.6 * len(stages)), layout="constrained")
    for axes, (stage, (rates, losses, chosen)) in zip(
        figure.subplots(len(stages), squeeze=False).flat, stages.items(), strict=True
    ):
        axes.plot(rates, losses, color=ACCENT)
        axes.axvline(chosen, color=SOFT, linestyle="--", linewidth=1)
        axes.set(title=f"Range test, stage {stage}: lr {chosen:.1e}", xlabel="lr", ylabel="Loss", xscale="log")
        bare(axes)
    return figure


def _by_epoch(history: pd.DataFrame, title: str, columns: Mapping[str, tuple[str, str]]) -> Figure:
    """Draw columns of the history (column → name and colour), and the stages.

    Weights between a stage's start and its end, which `interpolate` tried, are no epochs and are left out.
    """
    history = history[history["alpha"] == 1].reset_index(drop=True)
    figure, axes = single(title, "Epoch", "", height=0.8 * SIDE)
    for column, (name, color) in columns.items():
        axes.plot(np.arange(1, len(history) + 1), history[column], color=color, marker="o", markersize=3, label=name)
    if len(columns) > 1:
        axes.legend(frameon=False, fontsize=9)
    above: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "xytext": (3, 0), "textcoords": "offset points"}
    for start in np.flatnonzero(history["stage"] != history["stage"].shift()):
        axes.axvline(start + 0.5, color=SOFT, linewidth=0.7, linestyle=":")
        axes.annotate(history["stage"][start], (start + 0.5, 0.98), fontsize=8, color=INK, va="top", **above)
    return figure

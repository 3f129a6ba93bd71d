"""How a model learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kmedtl.evaluate.plots.style import ACCENT, INK, SIDE, SOFT, bare


def training(history: pd.DataFrame, figure_name: str, title: str) -> Figure:
    """Draw losses and a figure of validation by epoch; a line marks where each stage begins.

    Weights between a stage's start and its end, which `interpolate` tried, are no epochs and are left out.
    """
    history = history[history["alpha"] == 1].reset_index(drop=True)
    figure = Figure(figsize=(2 * SIDE, 3.4), layout="constrained")
    losses, auc = figure.subplots(1, 2)
    epochs = np.arange(1, len(history) + 1)
    losses.plot(epochs, history["loss"], color=SOFT, marker="o", markersize=3, label="training")
    losses.plot(epochs, history["val_loss"], color=ACCENT, marker="o", markersize=3, label="validation")
    losses.set(title="Loss", xlabel="Epoch")
    losses.legend(frameon=False, fontsize=9)
    auc.plot(epochs, history[figure_name], color=ACCENT, marker="o", markersize=3)
    auc.set(title=f"Validation {title}", xlabel="Epoch")
    starts = np.flatnonzero(history["stage"] != history["stage"].shift())
    for axes in (losses, auc):
        bare(axes)
        for start in starts:
            axes.axvline(start + 0.5, color=SOFT, linewidth=0.7, linestyle=":")
            axes.annotate(
                history["stage"][start],
                (start + 0.5, 0.98),
                xycoords=("data", "axes fraction"),
                fontsize=8,
                color=INK,
                va="top",
                xytext=(3, 0),
                textcoords="offset points",
            )
    return figure


def importance(stages: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw each block's relative gradient norm, a panel an adaptive stage, from input to output."""
    figure = Figure(figsize=(2 * SIDE, 2.6 * len(stages)), layout="constrained")
    for axes, (stage, blocks) in zip(figure.subplots(len(stages), squeeze=False).flat, stages.items(), strict=True):
        axes.bar(list(blocks), list(blocks.values()), color=ACCENT)
        axes.set(title=f"Importance of blocks before stage {stage}", ylabel="‖gradient‖ / ‖weights‖")
        axes.tick_params(axis="x", labelrotation=45 if len(blocks) > 8 else 0)
        bare(axes)
    return figure


def range_tests(stages: Mapping[str, tuple[Sequence[float], Sequence[float], float]]) -> Figure:
    """Draw the smoothed loss against the rate of each range test (rates, losses, chosen rate), a panel a stage."""
    figure = Figure(figsize=(2 * SIDE, 2.6 * len(stages)), layout="constrained")
    for axes, (stage, (rates, losses, chosen)) in zip(
        figure.subplots(len(stages), squeeze=False).flat, stages.items(), strict=True
    ):
        axes.plot(rates, losses, color=ACCENT)
        axes.axvline(chosen, color=SOFT, linestyle="--", linewidth=1)
        axes.set(title=f"Range test, stage {stage}: lr {chosen:.1e}", xlabel="lr", ylabel="Loss", xscale="log")
        bare(axes)
    return figure

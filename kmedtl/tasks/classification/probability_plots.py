"""What probabilities are worth: reliability, distribution, selective prediction, decision curves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kmedtl.files.plot_style import ACCENT, INK, SIDE, SOFT, bare, series, single
from kmedtl.tasks.classification.selective import SelectiveCurve


def reliability(table: pd.DataFrame, title: str = "Reliability") -> Figure:
    """Draw what came true against what was claimed, with the number of answers below.

    Args:
        table: of `kmedtl.tasks.classification.reliability.reliability`.
    """
    figure = Figure(figsize=(SIDE, 1.25 * SIDE), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=[4, 1])
    reach = np.abs(table[["observed_low", "observed_high"]].to_numpy().T - table["observed"].to_numpy())
    above.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--")
    above.annotate("as claimed", (0.72, 0.69), fontsize=8, color=INK, rotation=45, va="top", rotation_mode="anchor")
    above.errorbar(table["claimed"], table["observed"], reach, fmt="-o", color=ACCENT, capsize=3, markersize=4)
    above.set(title=title, ylabel="Share that came true", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    below.bar(table["low"], table["count"], table["high"] - table["low"], align="edge", color=SOFT, edgecolor=INK)
    below.set(xlabel="Claimed probability", ylabel="Answers")
    bare(above)
    bare(below)
    return figure


def histogram(probability: np.ndarray, classes: np.ndarray, names: Mapping[int, str]) -> Figure:
    """Draw how the probability of a finding, (N,), is spread in each true class (N,), as shares of the class."""
    figure, axes = single("Probabilities by class", "Probability", "Share of the class")
    edges = np.linspace(0, 1, 21)
    for number, (value, name) in enumerate(names.items()):
        shares = np.histogram(probability[classes == value], edges)[0] / max(1, (classes == value).sum())
        axes.stairs(shares, edges, label=f"{name} ({(classes == value).sum():,})", **series(number))
    axes.legend(frameon=False, fontsize=9, loc="upper center")
    return figure


def selective(curve: SelectiveCurve) -> Figure:
    """Draw the error of the answers that the model keeps against how many it keeps, with 95 % intervals."""
    table = curve.table
    title = f"Selective prediction: AURC {curve.aurc:.3f}"
    figure, axes = single(title, "Coverage: share of images answered", "Error of those")
    axes.fill_between(table["coverage"], table["error_low"], table["error_high"], color=ACCENT, alpha=0.15, linewidth=0)
    axes.plot(table["coverage"], table["error"], color=ACCENT, marker="o", markersize=3)
    axes.axhline(table["error"].iloc[-1], color=SOFT, linewidth=1, linestyle="--")
    _beside(axes, 0.02, table["error"].iloc[-1], "error on all images")
    axes.set(xlim=(0, 1.02), ylim=(0, None))
    return figure


def decision_curve(table: pd.DataFrame) -> Figure:
    """Draw the net benefit of the model, with its 95 % interval, beside treating all and treating none."""
    figure, axes = single("Decision curve", "Threshold probability", "Net benefit an image")
    threshold, top = table["threshold"], max(table["treat_all"].max(), table["model_high"].max())
    axes.fill_between(threshold, table["model_low"], table["model_high"], color=ACCENT, alpha=0.15, linewidth=0)
    for number, (name, label) in enumerate(
        {"model": "the model", "treat_all": "treat all", "treat_none": "treat none"}.items()
    ):
        axes.plot(threshold, table[name], **series(number), label=label)
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    axes.set(xlim=(0, 1), ylim=(-0.15 * top, 1.1 * top))  # treating all falls without end
    return figure


def _beside(axes: Axes, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), xytext=(0, 3), textcoords="offset points", fontsize=8, color=INK)

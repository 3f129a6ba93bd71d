"""How well findings are told apart and decided: ROC, precision and recall, confusion, subgroups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kmedtl.files.plot_style import ACCENT, INK, SIDE, SOFT, series, single, square
from kmedtl.statistics.confidence import Estimate
from kmedtl.statistics.roc import steps
from kmedtl.tasks.classification.metrics import Metrics

MANY = 4  # curves, from which on their legend stands below them
SHADE = 0.45  # of a cell that holds all images of its row: letters can be read on it in either theme


def roc(table: pd.DataFrame, metrics: Metrics) -> Figure:
    """Draw the ROC curve of `label` and `logit`, with the operating point."""
    return roc_by_finding(*_columns(table), {"": metrics.estimates})


def roc_by_finding(targets: np.ndarray, scores: np.ndarray, estimates: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """Draw a ROC curve for each finding or each class against the rest, with the operating point where it has one.

    Args:
        targets: (N, F): 1, 0 or −1, unknown, which is left out; a finding of one answer only has no curve.
        scores: (N, F), higher where the finding is likelier.
        estimates: of each finding, in the order of the columns: `auc`, and `sensitivity` and `specificity` or neither.
    """
    figure, axes = square("ROC", "1 − specificity", "Sensitivity", height=_height(estimates))
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--")
    for number, (name, figures), found, mistaken in _curves(targets, scores, estimates):
        label = f"{name} AUC {figures['auc']}".strip()
        axes.plot(mistaken / mistaken[-1], found / found[-1], **series(number), label=label)
        if "specificity" in figures:
            axes.plot(1 - figures["specificity"].value, figures["sensitivity"].value, "o", color=INK, markersize=5)
    _explain(axes, any("specificity" in figures for figures in estimates.values()), len(estimates), "lower right")
    return figure


def precision_recall(table: pd.DataFrame, metrics: Metrics) -> Figure:
    """Draw precision over recall, with the prevalence as the line that chance reaches."""
    return precision_recall_by_finding(*_columns(table), {"": metrics.estimates})


def precision_recall_by_finding(
    targets: np.ndarray, scores: np.ndarray, estimates: Mapping[str, Mapping[str, Estimate]]
) -> Figure:
    """Draw precision over recall for each finding, with its prevalence; arguments as of `roc_by_finding`.

    `estimates` hold `average_precision`, and `sensitivity` and `ppv` or neither.
    """
    figure, axes = square("Precision and recall", "Sensitivity (recall)", "PPV (precision)", height=_height(estimates))
    for number, (name, figures), found, mistaken in _curves(targets, scores, estimates):
        style, prevalence = series(number), found[-1] / (found[-1] + mistaken[-1])
        axes.axhline(prevalence, color=style["color"], linewidth=0.7, linestyle=":")
        precision = np.append(1, found[1:] / (found + mistaken)[1:])
        label = f"{name} AP {figures['average_precision']}, prevalence {prevalence:.2f}".strip()
        axes.plot(found / found[-1], precision, **style, label=label)
        if "ppv" in figures:
            axes.plot(figures["sensitivity"].value, figures["ppv"].value, "o", color=INK, markersize=5)
    _explain(axes, any("ppv" in figures for figures in estimates.values()), len(estimates), "lower left")
    return figure


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Figure:
    """Draw the confusion matrix of two or more classes, counts and shares of the truth."""
    cells = np.array(counts)
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    side = max(SIDE, 0.85 * len(classes))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    size, decimals = (13, 1) if len(classes) < 4 else (9, 0)
    for (row, column), count in np.ndenumerate(cells):
        share = shares[row, column]
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=ACCENT, alpha=SHADE * share, linewidth=0))
        text = f"{count}\n{share:.{decimals}%}"
        axes.text(column, row, text, ha="center", va="center", color=INK, fontsize=size)
    axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5), aspect="equal")
    axes.set_xticks(range(len(classes)), classes, rotation=0 if len(classes) < 4 else 90)
    axes.set_yticks(range(len(classes)), classes, rotation=90 if len(classes) < 4 else 0, va="center")
    axes.set(title="Confusion matrix", xlabel="Decision", ylabel="Truth")
    axes.spines[:].set_visible(False)
    return figure


def subgroups(rows: Sequence[tuple[str, int, Estimate]], figure_name: str = "AUC") -> Figure:
    """Draw a figure of each group with its 95 % interval, a forest plot: (name, images, estimate) from top to bottom.

    The dotted line is the first row, which is that of all images together. A group without a figure says why.
    """
    height = 1.2 + 0.36 * len(rows)
    figure, axes = single("Subgroups, 95 % intervals", figure_name, "", 1.3 * SIDE, height)
    for place, (_, _, estimate) in enumerate(rows):
        if np.isnan(estimate.value):
            axes.annotate(str(estimate), (0.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8)
            continue
        axes.plot([estimate.low, estimate.high], [place, place], color=ACCENT, linewidth=1.5)
        axes.plot(estimate.value, place, "s", color=INK, markersize=5)
    axes.axvline(rows[0][2].value, color=SOFT, linewidth=1, linestyle=":")
    axes.set_yticks(range(len(rows)), [f"{name} ({count:,})" for name, count, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _columns(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return table[["label"]].to_numpy(), table[["logit"]].to_numpy()


def _curves(
    targets: np.ndarray, scores: np.ndarray, estimates: Mapping[str, Mapping[str, Estimate]]
) -> Iterator[tuple[int, tuple[str, Mapping[str, Estimate]], np.ndarray, np.ndarray]]:
    """Yield number, name with figures, and counts found and mistaken from 0 on, of each finding with both answers."""
    for number, (item, target, score) in enumerate(zip(estimates.items(), targets.T, scores.T, strict=True)):
        known = target >= 0
        _, found, mistaken = steps(target[known], score[known])
        if known.any() and found[-1] and mistaken[-1]:
            yield number, item, np.append(0, found), np.append(0, mistaken)


def _height(estimates: Mapping[str, Mapping[str, Estimate]]) -> float:
    return SIDE if len(estimates) < MANY else SIDE + 0.2 * (len(estimates) + 1)  # for the legend below


def _explain(axes: Axes, points: bool, count: int, corner: Literal["lower left", "lower right"]) -> None:
    if points:
        axes.plot([], [], "o", color=INK, markersize=5, label="operating point")
    if count < MANY:
        axes.legend(frameon=False, fontsize=9, loc=corner)
    else:
        axes.figure.legend(frameon=False, fontsize=9, loc="outside lower center")

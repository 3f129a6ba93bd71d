"""The report's figures. Each function returns a matplotlib Figure; nothing touches pyplot's global state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from kmedtl.evaluate.metrics import Metrics

INK, ACCENT, SOFT = "#1f2937", "#2563eb", "#94a3b8"
SIDE = 4.2  # inches


def roc(table: pd.DataFrame, metrics: Metrics) -> Figure:
    """Draw the ROC curve of `label` and `logit`, with the operating point."""
    false_rate, true_rate, _ = roc_curve(table["label"], table["logit"])
    figure, axes = _square("ROC", "1 − specificity", "Sensitivity")
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--")
    axes.plot(false_rate, true_rate, color=ACCENT, linewidth=2, label=f"AUC {metrics.estimates['auc']}")
    point = 1 - metrics.estimates["specificity"].value, metrics.estimates["sensitivity"].value
    axes.plot(*point, "o", color=INK, label="operating point")
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    return figure


def precision_recall(table: pd.DataFrame, metrics: Metrics) -> Figure:
    """Draw precision over recall, with the prevalence as the line that chance reaches."""
    precision, recall, _ = precision_recall_curve(table["label"], table["logit"])
    figure, axes = _square("Precision and recall", "Sensitivity (recall)", "PPV (precision)")
    prevalence = float(table["label"].mean())
    axes.axhline(prevalence, color=SOFT, linewidth=1, linestyle="--", label=f"prevalence {prevalence:.2f}")
    axes.plot(recall, precision, color=ACCENT, linewidth=2, label=f"AP {metrics.estimates['average_precision']}")
    axes.plot(
        metrics.estimates["sensitivity"].value,
        metrics.estimates["ppv"].value,
        "o",
        color=INK,
        label="operating point",
    )
    axes.legend(loc="lower left", frameon=False, fontsize=9)
    return figure


def confusion(metrics: Metrics, classes: Sequence[str]) -> Figure:
    """Draw the confusion matrix at the operating point, counts and row shares."""
    cells = np.array(metrics.confusion)
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(SIDE, SIDE), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(cells):
        color = "white" if shares[row, column] > 0.5 else INK
        text = f"{count}\n{shares[row, column]:.1%}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=13)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes, rotation=90, va="center")
    axes.set(title="Confusion matrix", xlabel="Decision", ylabel="Truth")
    axes.spines[:].set_visible(False)
    return figure


def training(history: pd.DataFrame) -> Figure:
    """Draw losses and validation AUC by epoch; a line marks where each stage begins."""
    figure = Figure(figsize=(2 * SIDE, 3.4), layout="constrained")
    losses, auc = figure.subplots(1, 2)
    epochs = np.arange(1, len(history) + 1)
    losses.plot(epochs, history["loss"], color=SOFT, marker="o", markersize=3, label="training")
    losses.plot(epochs, history["val_loss"], color=ACCENT, marker="o", markersize=3, label="validation")
    losses.set(title="Loss", xlabel="Epoch")
    losses.legend(frameon=False, fontsize=9)
    auc.plot(epochs, history["val_auc"], color=ACCENT, marker="o", markersize=3)
    auc.set(title="Validation AUC", xlabel="Epoch")
    starts = np.flatnonzero(history["stage"] != history["stage"].shift())
    for axes in (losses, auc):
        axes.spines[["top", "right"]].set_visible(False)
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


def _square(title: str, x: str, y: str) -> tuple[Figure, object]:
    figure = Figure(figsize=(SIDE, SIDE), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes

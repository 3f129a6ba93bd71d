"""The report's figures. Each function returns a matplotlib Figure; nothing touches pyplot's global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from kmedtl.evaluate.compare import Run
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
    """Draw losses and validation AUC by epoch; a line marks where each stage begins.

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


def importance(stages: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw each block's relative gradient norm, a panel an adaptive stage, from input to output."""
    figure = Figure(figsize=(2 * SIDE, 2.6 * len(stages)), layout="constrained")
    for axes, (stage, blocks) in zip(figure.subplots(len(stages), squeeze=False).flat, stages.items(), strict=True):
        axes.bar(list(blocks), list(blocks.values()), color=ACCENT)
        axes.set(title=f"Importance of blocks before stage {stage}", ylabel="‖gradient‖ / ‖weights‖")
        axes.tick_params(axis="x", labelrotation=45 if len(blocks) > 8 else 0)
        axes.spines[["top", "right"]].set_visible(False)
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
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def severities(table: pd.DataFrame) -> Figure:
    """Draw AUC against severity, a panel a corruption, over the table of `kmedtl.evaluate.shift.Shift`.

    Each line starts from the clean images, severity 0; the band is the 95 % interval.
    """
    clean, corrupted = table[table["severity"] == 0], table[table["severity"] > 0]
    names, columns = corrupted["corruption"].unique(), 4
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(2 * SIDE, 1.9 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        part = pd.concat([clean, corrupted[corrupted["corruption"] == name]])
        axes.axhline(clean["auc"].iloc[0], color=SOFT, linewidth=1, linestyle="--")
        axes.fill_between(part["severity"], part["auc_low"], part["auc_high"], color=ACCENT, alpha=0.15, linewidth=0)
        axes.plot(part["severity"], part["auc"], color=ACCENT, marker="o", markersize=3)
        axes.set_title(name.replace("_", " "), fontsize=10)
        axes.set_xticks(part["severity"])
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    figure.supxlabel("Severity; 0: clean", fontsize=10)
    figure.supylabel("AUC", fontsize=10)
    return figure


def data_efficiency(curves: Mapping[str, Sequence[Run]]) -> Figure:
    """Draw test AUC with its 95 % interval against training images, a line a title of `curves`."""
    figure = Figure(figsize=(2 * SIDE, SIDE), layout="constrained")
    axes = figure.subplots()
    for number, (title, runs) in enumerate(curves.items()):
        beside = 1 + 0.02 * (number - (len(curves) - 1) / 2)  # so that intervals at one number do not cover each other
        images = [run.training_images * beside for run in runs]
        axes.errorbar(images, [run.auc.value for run in runs], _reach(runs), marker="o", capsize=3, label=title)
    everything = [run for runs in curves.values() for run in runs]
    numbers = sorted({run.training_images for run in everything})
    axes.set(title=_title(everything), xlabel="Training images", ylabel="Test AUC", xscale="log")
    axes.set_xticks(numbers, [f"{number:,}" for number in numbers])
    axes.minorticks_off()
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def aucs(runs: Sequence[Run]) -> Figure:
    """Draw the test AUC of each run with its 95 % interval, in their order from top to bottom."""
    figure = Figure(figsize=(2 * SIDE, 1 + 0.4 * len(runs)), layout="constrained")
    axes = figure.subplots()
    places = range(len(runs))
    axes.errorbar([run.auc.value for run in runs], places, xerr=_reach(runs), fmt="o", color=ACCENT, capsize=3)
    axes.set_yticks(places, [run.name for run in runs])
    axes.invert_yaxis()
    axes.set(title=_title(runs), xlabel="Test AUC")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _title(runs: Sequence[Run]) -> str:
    synthetic = any(run.notice for run in runs)
    return "Test AUC with 95 % interval" + (" – synthetic images" if synthetic else "")


def _reach(runs: Sequence[Run]) -> np.ndarray:
    """Return how far each interval reaches below and above its AUC, (2, runs)."""
    return np.array([[run.auc.value - run.auc.low, run.auc.high - run.auc.value] for run in runs]).T


def _square(title: str, x: str, y: str) -> tuple[Figure, object]:
    figure = Figure(figsize=(SIDE, SIDE), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes

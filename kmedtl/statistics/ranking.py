"""How well scores put one class above the other: figures of the order alone, and what each image adds to them."""

from __future__ import annotations

import numpy as np


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve of labels (N,), 0 or 1, and scores (N,); NaN where a class is absent."""
    positive = np.asarray(labels) == 1
    if positive.all() or not positive.any():
        return float("nan")
    return float(placements(labels, scores)[positive].mean())


def placements(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return for each row the share of the other class's rows that it is rightly above or below; ties count half.

    The mean over either class is the AUC.

    Args:
        labels: (N,), 0 and 1, both present.
        scores: (N,), finite.

    Source: DeLong, DeLong & Clarke-Pearson, Biometrics 1988, structural components V10 and V01.
    """
    positive = np.asarray(labels) == 1
    steps, step_of_row = np.unique(np.asarray(scores, np.float64), return_inverse=True)
    placed = np.empty(len(positive))
    for rows, others in ((positive, ~positive), (~positive, positive)):
        counts = np.bincount(step_of_row[others], minlength=len(steps))
        below = (np.cumsum(counts) - counts / 2) / others.sum()
        placed[rows] = below[step_of_row[rows]]
    placed[~positive] = 1 - placed[~positive]
    return placed


def average_precision(labels: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """Return Σ (recall step × precision), tied scores being one step, and its derivative by each row's weight (N,).

    The derivatives are what a row adds to the figure, so that their sums by patient give its variance (the
    infinitesimal jackknife; Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982, chapter 6).

    Args:
        labels: (N,), 0 and 1, a 1 among them.
        scores: (N,), finite.
    """
    positive = np.asarray(labels) == 1
    steps, step_of_row = np.unique(-np.asarray(scores, np.float64), return_inverse=True)  # the highest first
    hits = np.bincount(step_of_row[positive], minlength=len(steps))
    found, called = np.cumsum(hits), np.cumsum(np.bincount(step_of_row, minlength=len(steps)))
    precision, recall_step = found / called, hits / found[-1]
    value = float(precision @ recall_step)
    # A row counts among those called at its own step and at all lower ones.
    dilution = np.cumsum((recall_step * precision / called)[::-1])[::-1]
    gain = np.cumsum((recall_step / called)[::-1])[::-1] + (precision - value) / found[-1]
    return value, np.where(positive, gain[step_of_row], 0.0) - dilution[step_of_row]

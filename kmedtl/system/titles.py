"""Names of figures as a person writes them."""

from __future__ import annotations

TITLES = {
    "auc": "AUC", "ppv": "PPV", "npv": "NPV", "f1": "F1", "roc": "ROC", "macro_auc": "Macro AUC",
    "micro_auc": "Micro AUC", "weighted_auc": "Weighted AUC", "macro_f1": "Macro F1", "brier": "Brier score",
    "ece": "ECE", "adaptive_ece": "Adaptive ECE", "nll": "NLL", "r2": "R²", "mae": "Mean absolute error",
    "rmse": "Root mean squared error", "iou": "IoU", "hd95": "Hausdorff distance (95 %)",
    "surface_dice": "Surface Dice", "referable_auc": "Referable AUC", "off_by_two": "Off by two grades or more",
    "instance_f1": "Instance F1", "false_positives": "False positives an image",
}  # fmt: skip


def title(name: str, unit: str = "") -> str:
    """Return a figure's name as a person writes it, with its unit where it has one; before a dot stands its task."""
    of, _, figure = name.rpartition(".")
    written = TITLES.get(figure, figure.replace("_", " ").capitalize())
    if of:
        written = f"{of.replace('_', ' ').capitalize()}: {written}"
    return f"{written} [{unit}]" if unit else written

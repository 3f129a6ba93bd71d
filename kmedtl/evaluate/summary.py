"""Figures as lines that a person reads in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from kmedtl.evaluate.metrics import Metrics
from kmedtl.evaluate.subgroups import Group

TITLES = {
    "auc": "AUC", "ppv": "PPV", "npv": "NPV", "f1": "F1", "roc": "ROC", "macro_auc": "Macro AUC",
    "micro_auc": "Micro AUC", "weighted_auc": "Weighted AUC", "macro_f1": "Macro F1", "brier": "Brier score",
    "ece": "ECE", "adaptive_ece": "Adaptive ECE", "nll": "NLL",
}  # fmt: skip
OF_A_FINDING = ("auc", "sensitivity", "specificity", "ppv")


def title(name: str) -> str:
    """Return a metric's name as a person writes it."""
    return TITLES.get(name, name.replace("_", " ").capitalize())


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines, columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def lines(metrics: Metrics) -> list[str]:
    """Return a line a figure, then the confusion, or a table of findings."""
    told = [f"  {title(name):<18} {estimate}" for name, estimate in metrics.estimates.items()]
    if metrics.kind == "binary":
        (tn, fp), (fn, tp) = metrics.confusion
        normal, finding = metrics.classes
        return [*told, f"  {finding} found {tp}, missed {fn}; {normal} recognised {tn}, false alarms {fp}"]
    findings = [
        [name, str(sum(metrics.confusions[name][1])), *(str(estimates[figure]) for figure in OF_A_FINDING)]
        for name, estimates in metrics.by_finding.items()
    ]
    told += ["", *aligned([["Finding", "Images", *map(title, OF_A_FINDING)], *findings])]
    if not metrics.confusion:
        return told
    counts = [[name, *map(str, row)] for name, row in zip(metrics.classes, metrics.confusion, strict=True)]
    return [*told, "", *aligned([["True, by decided", *metrics.classes], *counts])]


def group_lines(groups: Sequence[Group]) -> list[str]:
    """Return a table of subgroups, and what its flags mean; nothing where there is none."""
    if not groups:
        return []
    figures = list(groups[0].estimates)
    several = len({group.finding for group in groups}) > 1
    header = [
        "Group",
        *(["Finding"] if several else []),
        "Images",
        "Patients",
        *map(title, figures),
        "Gap beyond chance",
    ]
    rows = [
        [
            f"{group.column} {group.name}",
            *([group.finding] if several else []),
            str(group.images),
            str(group.patients),
            *(str(group.estimates[figure]) for figure in figures),
            ", ".join(f"{title(figure)} {group.gaps[figure].value:+.3f}" for figure in group.flagged) or "–",
        ]
        for group in groups
    ]
    return [
        "",
        *aligned([header, *rows]),
        "A gap is a group's figure minus that of all others, named where an interval widened for all gaps excludes 0.",
    ]

"""Figures as lines that a person reads in the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from kmedtl.evaluate.confidence import Estimate
from kmedtl.tasks.classification.metrics import Metrics
from kmedtl.tasks.classification.subgroups import Group

TITLES = {
    "auc": "AUC", "ppv": "PPV", "npv": "NPV", "f1": "F1", "roc": "ROC", "macro_auc": "Macro AUC",
    "micro_auc": "Micro AUC", "weighted_auc": "Weighted AUC", "macro_f1": "Macro F1", "brier": "Brier score",
    "ece": "ECE", "adaptive_ece": "Adaptive ECE", "nll": "NLL",
}  # fmt: skip
WIDTH, GAP = 120, "  "  # of a terminal, and between the cells of a table
CELLS = (40, 28)  # of a table's longest cell, and where the table is too wide so
MOST_ROWS, MOST_CONFUSIONS = 20, 10
CHANCE = 0.5  # of the headline figure, whatever is asked: the AUC, or its mean over findings
OF_A_FINDING = ("auc", "sensitivity", "specificity", "ppv")


def title(name: str) -> str:
    """Return a metric's name as a person writes it."""
    return TITLES.get(name, name.replace("_", " ").capitalize())


def aligned(rows: Sequence[Sequence[str]], width: int = WIDTH) -> list[str]:
    """Return rows of cells as lines of at most `width`, columns aligned.

    Long cells lose their middle. Columns that don't fit beside each other follow in a further table, which begins with
    the first column again.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    for most in CELLS:
        columns = [[shortened(cell, most) for cell in column] for column in columns]
        if sum(map(_width, columns)) + len(GAP) * (len(columns) - 1) <= width:
            break
    first, rest = columns[0], columns[1:]
    parts, room = [[first]], width - _width(first)
    for column in rest:
        if _width(column) + len(GAP) > room and len(parts[-1]) > 1:
            parts.append([first])
            room = width - _width(first)
        parts[-1].append(column)
        room -= _width(column) + len(GAP)
    lines = []
    for part in parts:
        lines += [""] if lines else []
        for cells in zip(*part, strict=True):
            padded = [cell.ljust(_width(column)) for cell, column in zip(cells, part, strict=True)]
            lines.append(GAP.join(padded).rstrip())
    return lines


def shortened(text: str, most: int = CELLS[0]) -> str:
    """Return text without its middle where it is longer than `most`."""
    kept = most - 1
    return text if len(text) <= most else f"{text[: kept - kept // 2]}…{text[-(kept // 2) :]}"


def _width(column: Sequence[str]) -> int:
    return max(map(len, column))


def lines(metrics: Metrics) -> list[str]:
    """Return a line a figure, then the confusion, or a table of findings."""
    told = [f"  {title(name):<18} {estimate}" for name, estimate in metrics.estimates.items()]
    told += [f"  {sentence}" for sentence in [no_better_than_chance(metrics.estimates, metrics.patients)] if sentence]
    if metrics.kind == "binary":
        (tn, fp), (fn, tp) = metrics.confusion
        normal, finding = metrics.classes
        return [*told, f"  {finding} found {tp}, missed {fn}; {normal} recognised {tn}, false alarms {fp}"]
    told += ["", *_finding_lines(metrics)]
    return [*told, "", *_confusion_lines(metrics)] if metrics.confusion else told


def no_better_than_chance(estimates: Mapping[str, Estimate], patients: int) -> str:
    """Return a sentence where the interval of the headline figure, the first one, includes chance; else nothing."""
    name, figure = next(iter(estimates.items()))
    if not figure.low <= CHANCE <= figure.high:
        return ""
    these = f"these {patients} patients" if patients > 1 else "this one patient"
    return f"The {title(name)}'s interval includes {CHANCE}: on {these} the model can't be told from chance."


def _finding_lines(metrics: Metrics) -> list[str]:
    """Return a table of the findings; of many, those with the lowest AUC."""
    names = list(metrics.by_finding)
    if len(names) > MOST_ROWS:
        area = {name: metrics.by_finding[name]["auc"].value for name in names}
        names = sorted(names, key=lambda name: (math.isnan(area[name]), area[name]))[:MOST_ROWS]
    rows = [
        [
            name,
            str(sum(metrics.confusions[name][1])),
            *(str(metrics.by_finding[name][figure]) for figure in OF_A_FINDING),
        ]
        for name in names
    ]
    more = len(metrics.by_finding) - len(names)
    left_out = [f"… and {more} more, whose AUC is higher or not known: metrics.json has them all"] if more else []
    return [*aligned([["Finding", "Images", *map(title, OF_A_FINDING)], *rows]), *left_out]


def _confusion_lines(metrics: Metrics) -> list[str]:
    """Return the confusion matrix; where it is wider than a terminal, the confusions that are most frequent."""
    header = ["True, by decided", *map(shortened, metrics.classes)]
    counts = [[name, *map(str, row)] for name, row in zip(metrics.classes, metrics.confusion, strict=True)]
    table = aligned([header, *counts])
    if len(table) == len(counts) + 1:
        return table
    wrong = sorted(
        (-count, true, decided)
        for true, row in zip(metrics.classes, metrics.confusion, strict=True)
        for decided, count in zip(metrics.classes, row, strict=True)
        if count and decided != true
    )
    rows = [[true, decided, str(-count)] for count, true, decided in wrong[:MOST_CONFUSIONS]]
    more = len(wrong) - len(rows)
    left_out = [f"… and {more} more kinds of confusion: metrics.json has them all"] if more > 0 else []
    return [*aligned([["True", "Decided", "Images"], *rows]), *left_out]


def group_lines(groups: Sequence[Group]) -> list[str]:
    """Return a table of subgroups, and what its flags mean; nothing where there is none."""
    if not groups:
        return []
    apart = [group for group in groups if not group.few]
    if not apart:
        return ["", *too_few(groups)]
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
        for group in apart
    ]
    return [
        "",
        *aligned([header, *rows]),
        *too_few(groups),
        "A gap is a group's figure minus that of all others, named where an interval widened for all gaps excludes 0.",
    ]


def too_few(groups: Sequence[Group]) -> list[str]:
    """Return a line for each group of too few patients, with the findings for which it has, unless for all."""
    several = len({group.finding for group in groups})
    few: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        if group.few:
            few.setdefault((group.column, group.name), []).append(group)
    told = []
    for (column, name), found in few.items():
        images, patients = max(group.images for group in found), max(group.patients for group in found)
        of = f" for {shortened(', '.join(group.finding for group in found))}" if len(found) < several else ""
        counted = f"{_counted(images, 'image')} of {_counted(patients, 'patient')}"
        told.append(f"{column} {name}: {counted}, too few to judge apart{of}")
    return told


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("s" if count != 1 else "")

"""Figures as lines that a person reads in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kmedtl.system.text_tables import aligned, shortened
from kmedtl.system.titles import title
from kmedtl.tasks.classification.metrics import Metrics
from kmedtl.tasks.classification.subgroups import Group
from kmedtl.tasks.summary import no_better

MOST_ROWS, MOST_CONFUSIONS = 20, 10
NAME_WIDTH = 24  # letters, beside which four figures with their intervals fit a terminal
CHANCE = 0.5  # of the headline figure, whatever is asked: the AUC, or its mean over findings
OF_A_FINDING = ("auc", "sensitivity", "specificity", "ppv")


def lines(metrics: Metrics) -> list[str]:
    """Return a line a figure, then the confusion, or a table of findings."""
    rows = [f"  {title(name):<18} {estimate}" for name, estimate in metrics.estimates.items()]
    rows += [
        f"  {sentence}"
        for sentence in [no_better(*next(iter(metrics.estimates.items())), metrics.patients, CHANCE)]
        if sentence
    ]
    if metrics.kind == "binary":
        (tn, fp), (fn, tp) = metrics.confusion
        normal, finding = metrics.classes
        return [*rows, f"  {finding} found {tp}, missed {fn}; {normal} recognised {tn}, false alarms {fp}"]
    rows += ["", *_finding_lines(metrics)]
    return [*rows, "", *_confusion_lines(metrics)] if metrics.confusion else rows


def _finding_lines(metrics: Metrics) -> list[str]:
    """Return a table of the findings; of many, those with the lowest AUC."""
    names = list(metrics.by_finding)
    if len(names) > MOST_ROWS:
        area = {name: metrics.by_finding[name]["auc"].value for name in names}
        names = sorted(names, key=lambda name: (math.isnan(area[name]), area[name]))[:MOST_ROWS]
    rows = [
        [
            shortened(name, NAME_WIDTH),
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
    rows = []
    for (column, name), found in few.items():
        images, patients = max(group.images for group in found), max(group.patients for group in found)
        of = f" for {shortened(', '.join(group.finding for group in found))}" if len(found) < several else ""
        counted = f"{_counted(images, 'image')} of {_counted(patients, 'patient')}"
        rows.append(f"{column} {name}: {counted}, too few to judge apart{of}")
    return rows


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("s" if count != 1 else "")

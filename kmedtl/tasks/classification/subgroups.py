"""The same figures by sex, age, site or any other column: where the model does worse than elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import pandas as pd

from kmedtl.errors import UserError, nearest
from kmedtl.statistics.confidence import (
    Estimate,
    Z,
    auc_influence,
    codes_of,
    delong_auc,
    rarer_class,
    wilson,
)
from kmedtl.statistics.groups import MOST_GROUPS, bands, in_order
from kmedtl.statistics.ranking import placements
from kmedtl.system.progress import progress
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions

FEWEST = 10  # patients of either class, below which a group has no interval
RIGHT_OF = {"sensitivity": 1, "specificity": 0}  # the class of which it is the share decided rightly
TOO_SMALL = f"fewer than {FEWEST} patients of a class"


@dataclass(frozen=True)
class Group:
    """The images of one group, and one finding.

    Attributes:
        images, patients: of which the finding is known.
        estimates: `auc`, `sensitivity`, `specificity`.
        gaps: of each, the group minus all others; empty where either side is too small.
        flagged: gaps that chance does not explain, however many were looked at.
        few: fewer than 10 patients of either class; a person is told so in one line instead of its figures.
    """

    column: str
    name: str
    finding: str
    images: int
    patients: int
    estimates: dict[str, Estimate]
    gaps: dict[str, Estimate]
    flagged: tuple[str, ...] = ()
    few: bool = False


def subgroups(answers: LabelledPredictions, columns: Sequence[str]) -> tuple[Group, ...]:
    """Judge every group of every column apart, beside all images that are not in it.

    Who looks at many groups finds one that differs by chance. A gap is flagged only where its interval still excludes 0
    when widened to 1 − 0.05 / m, m being the gaps looked at (Bonferroni): unlike Holm's procedure it says so by an
    interval, and one gap's flag does not depend on the others. The gaps' own intervals are 95 %, not widened. No flag
    is no proof of equality: small groups hide large gaps.

    The interval of a gap comes from those of its two sides (MOVER; Zou & Donner, Statistics in Medicine 2008), their
    correlation where patients have images in both (Zou, Psychological Methods 2007) from what each patient adds.

    Numbers are cut into bands: an age (a number, or DICOM's `045Y`) at 18, 40 and 65 years, others of more than five
    values at their quartiles. Of missing values there is a group of its own. Groups with fewer than 10 patients of
    either class have figures, but no interval and no gap.

    Raises:
        UserError: a column that is not there, or of more than 30 groups.
    """
    named = {column: bands(_column(answers, column)) for column in columns}
    for column, names in named.items():
        count = len(set(names))
        if count > MOST_GROUPS:
            raise UserError(f"--groups: '{column}' has {count} different values; expected {MOST_GROUPS} at most.")
    cases = [
        (column, name, finding)
        for column, names in named.items()
        for name in in_order(names)
        for finding in range(len(answers.findings))
    ]
    patients = codes_of(answers.patients)
    found = [
        _group(answers, column, name, named[column] == name, finding, patients)
        for column, name, finding in progress(cases, "Subgroups", unit="group", delay=2)
    ]
    # Of two groups, the second's gaps are the first's turned round.
    looked_at = sum(len(group.gaps) / (2 if len(set(named[group.column])) == 2 else 1) for group in found)
    return tuple(_flag(group, looked_at) for group in found)


def _column(answers: LabelledPredictions, column: str) -> pd.Series:
    if column not in answers.groups:
        known = list(map(str, answers.groups))
        hint = nearest(column, known) if known else "The table has none to group by."
        raise UserError(f"--groups: no column '{column}'. {hint}")
    return answers.groups[column]


def _group(
    answers: LabelledPredictions, column: str, name: str, inside: np.ndarray, finding: int, patients: np.ndarray
) -> Group:
    known = answers.targets[:, finding] >= 0
    here, others = known & inside, known & ~inside
    estimates, gaps = _figures(answers, finding, here, patients), {}
    few = not _enough(answers, finding, here, patients)
    if not few and _enough(answers, finding, others, patients):
        elsewhere = _figures(answers, finding, others, patients)
        added, added_elsewhere = (_added(answers, finding, rows, patients) for rows in (here, others))
        gaps = {
            figure: _gap(estimate, elsewhere[figure], added[figure], added_elsewhere[figure])
            for figure, estimate in estimates.items()
        }
    elif few:
        estimates = {figure: _bare(estimate) for figure, estimate in estimates.items()}
    people = len(np.unique(patients[here]))
    return Group(column, name, answers.findings[finding], int(here.sum()), people, estimates, gaps, few=few)


def _enough(answers: LabelledPredictions, finding: int, rows: np.ndarray, patients: np.ndarray) -> bool:
    return rarer_class(answers.targets[rows, finding], patients[rows]) >= FEWEST


def _bare(estimate: Estimate) -> Estimate:
    """Return the figure without an interval, unless it is none."""
    return estimate if math.isnan(estimate.value) else Estimate(estimate.value, math.nan, math.nan, TOO_SMALL)


def _figures(answers: LabelledPredictions, finding: int, rows: np.ndarray, patients: np.ndarray) -> dict[str, Estimate]:
    labels, people = answers.targets[rows, finding], patients[rows]
    right = labels == answers.decisions[rows, finding]
    return {
        "auc": delong_auc(labels, answers.scores[rows, finding], people),
        "sensitivity": wilson(right[labels == 1], people[labels == 1]),
        "specificity": wilson(right[labels == 0], people[labels == 0]),
    }


def _added(answers: LabelledPredictions, finding: int, rows: np.ndarray, patients: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each patient adds to each figure, both classes being there."""
    labels = answers.targets[rows, finding]
    right = (labels == answers.decisions[rows, finding]).astype(float)
    shares = {name: (labels == at) * (right - right[labels == at].mean()) for name, at in RIGHT_OF.items()}
    by_row = {"auc": auc_influence(placements(labels, answers.scores[rows, finding]), labels), **shares}
    people = patients.max() + 1
    return {name: np.bincount(patients[rows], values, minlength=people) for name, values in by_row.items()}


def _gap(here: Estimate, elsewhere: Estimate, added: np.ndarray, added_elsewhere: np.ndarray) -> Estimate:
    """Return the difference of two estimates, from their intervals and what patients add to either."""
    norm = math.sqrt(float(added @ added) * float(added_elsewhere @ added_elsewhere))
    correlation = float(added @ added_elsewhere) / norm if norm else 0.0
    gap = here.value - elsewhere.value

    def arm(ours: float, theirs: float) -> float:
        return math.sqrt(max(0.0, ours**2 + theirs**2 - 2 * correlation * ours * theirs))

    down = arm(here.value - here.low, elsewhere.high - elsewhere.value)
    up = arm(here.high - here.value, elsewhere.value - elsewhere.low)
    return Estimate(gap, max(-1.0, gap - down), min(1.0, gap + up), "MOVER by patient")


def _flag(group: Group, looked_at: float) -> Group:
    """Return the group with the gaps whose widened interval excludes 0."""
    wider = NormalDist().inv_cdf(1 - 0.025 / looked_at) / Z if looked_at else 1.0
    flagged = tuple(
        name
        for name, gap in group.gaps.items()
        if gap.value - wider * (gap.value - gap.low) > 0 or gap.value + wider * (gap.high - gap.value) < 0
    )
    return replace(group, flagged=flagged)

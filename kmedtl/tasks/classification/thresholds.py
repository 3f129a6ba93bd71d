"""What every threshold would do on the test set, for the report's slider and its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kmedtl.files.digits import in_digits
from kmedtl.statistics.confidence import Estimate, codes_of, undefined, wilson
from kmedtl.system.progress import progress
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions

MOST = 1001  # points of all findings together, so that a page of many stays small
LEAST = 101  # of one finding
FIGURES = ("sensitivity", "specificity", "ppv", "npv")
TABLE_ROWS = 9


@dataclass(frozen=True)
class Choice:
    """A threshold and what it does.

    Attributes:
        threshold: a finding is called from this probability on.
        tp, fp, fn, tn: images.
        estimates: `sensitivity`, `specificity`, `ppv`, `npv`, with Wilson's intervals by patient.
    """

    threshold: float
    tp: int
    fp: int
    fn: int
    tn: int
    estimates: dict[str, Estimate]


@dataclass(frozen=True)
class Choices:
    """The thresholds of one finding.

    Attributes:
        points: thresholds rising.
        start: which of them is the operating point.
        prevalence: where the model will be used; None: not named.
    """

    finding: str
    points: tuple[Choice, ...]
    start: int
    prevalence: float | None

    @property
    def table(self) -> tuple[Choice, ...]:
        """The operating point and a few thresholds evenly spaced between the first and the last."""
        rows = np.linspace(0, len(self.points) - 1, TABLE_ROWS).round().astype(int)
        return tuple(self.points[row] for row in sorted({*rows.tolist(), self.start}))


def choices(
    answers: LabelledPredictions, thresholds: tuple[float, ...], prevalence: float | None
) -> tuple[Choices, ...]:
    """Return what thresholds would do, of each finding of which both answers are there; of `multi_class` nothing.

    Each distinct probability is a threshold; of many findings, or of more than 1,001 probabilities, as many as fit,
    evenly spaced by rank. The operating point is always among them.
    """
    most = max(LEAST, MOST // max(1, len(thresholds)))
    found = []
    shown = progress(thresholds, "Thresholds", unit="finding", delay=2)
    for number, threshold in enumerate(shown):
        known = answers.targets[:, number] >= 0
        labels, likely = answers.targets[known, number], answers.probabilities[known, number]
        if len(set(labels)) == 2:
            tried = _thinned(np.unique(likely), threshold, most)
            patients = codes_of(answers.patients[known])
            points = tuple(_choice(labels == 1, likely >= one, patients, float(one)) for one in tried)
            start = int(np.searchsorted(tried, threshold))
            found.append(Choices(answers.findings[number], points, start, prevalence))
    return tuple(found)


def document(choices: tuple[Choices, ...]) -> list[dict[str, Any]]:
    """Return the choices as JSON holds them: a point is [threshold, tp, fp], then low and high of each of `FIGURES`."""
    return [
        {
            "finding": one.finding,
            "positives": one.points[0].tp + one.points[0].fn,
            "negatives": one.points[0].fp + one.points[0].tn,
            "start": one.start,
            "prevalence": one.prevalence,
            "points": [_compact(point) for point in one.points],
        }
        for one in choices
    ]


def _thinned(values: np.ndarray, threshold: float, most: int) -> np.ndarray:
    if len(values) >= most:
        values = values[np.linspace(0, len(values) - 1, most - 1).round().astype(int)]
    return np.union1d(values, [threshold])


def _choice(positive: np.ndarray, called: np.ndarray, patients: np.ndarray, threshold: float) -> Choice:
    right = positive == called

    def among(rows: np.ndarray, otherwise: str) -> Estimate:
        return wilson(right[rows], patients[rows]) if rows.any() else undefined(otherwise)

    estimates = {
        "sensitivity": among(positive, "no image with the finding"),
        "specificity": among(~positive, "no image without the finding"),
        "ppv": among(called, "nothing called positive"),
        "npv": among(~called, "nothing called negative"),
    }
    tp, called_count, positives = int((positive & called).sum()), int(called.sum()), int(positive.sum())
    fp, fn = called_count - tp, positives - tp
    return Choice(threshold, tp, fp, fn, len(positive) - tp - fp - fn, estimates)


def _compact(point: Choice) -> list[float | None]:
    ends = [end for name in FIGURES for end in (point.estimates[name].low, point.estimates[name].high)]
    return [point.threshold, point.tp, point.fp, *(None if end != end else float(in_digits(end)) for end in ends)]

"""Calibration and threshold from a few local labels, held to those of validation as far as the labels do not object."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kmedtl.edge.adaptation.reference import LEVELS, Reference
from kmedtl.edge.tasks.task import OneScore

STEPS = 50
SLOPE = 0.5  # standard deviation of a slope elsewhere, in multiples of validation's
SHIFT = 0.5  # likewise of the log-odds at the threshold, in multiples of what lies between the medians of the classes
LEAST_SLOPE = 0.1  # in multiples of validation's
RESAMPLES, SEED = 500, 7
WANTED = 0.02  # half the width of an interval
OBJECTION = 5.99  # of twice the log-likelihood gained by two parameters: chance brings as much in one of 20


@dataclass(frozen=True)
class Line:
    """Log-odds as `slope` · (log-odds of now − the threshold of now) + `height`, at validation's share of the finding.

    Attributes:
        at: the threshold of now, in log-odds.
        old_height: what validation says of an image at the threshold: where the new one lies.
    """

    slope: float
    height: float
    at: float
    old_height: float

    @property
    def threshold(self) -> float:
        """Where the threshold of now would have to lie, in log-odds of now, to decide as the new one does."""
        return self.at - (self.height - self.old_height) / self.slope


def of_validation(look: Reference, score: OneScore) -> Line:
    """Return the line that validation's own scores make likeliest: Platt's (1999) on its quantiles."""
    odds = np.concatenate([score.log_odds(np.array(one.scores)) for one in (look.positive, look.negative)])
    labels = np.repeat([1.0, 0.0], len(LEVELS))
    weights = np.repeat([look.share, 1 - look.share], len(LEVELS)) / len(LEVELS) * look.images
    centred = odds - score.threshold
    slope, height = _fitted(centred, labels, weights, np.array([1.0, score.threshold]), np.array([4.0, 10.0]))
    return Line(slope, height, score.threshold, height)


def fitted(look: Reference, score: OneScore, old: Line, scores: np.ndarray, labels: np.ndarray) -> Line:
    """Return the line of labelled images (N,): logistic regression, held to validation's line by a normal prior.

    The labels' own share of the finding is taken out beforehand, so that more sick people move no threshold.
    """
    middle = [float(score.log_odds(np.array(one.scores))[len(LEVELS) // 2]) for one in (look.positive, look.negative)]
    apart = max(old.slope * (middle[0] - middle[1]), 1e-3)
    prior, spread = np.array([old.slope, old.old_height]), np.array([SLOPE * old.slope, SHIFT * apart])
    centred = score.log_odds(scores) - old.at
    offset = shift_of(look.share, share_of(look, labels))
    slope, height = _fitted(centred, labels, np.ones(len(labels)), prior, spread, offset)
    return Line(slope, height, old.at, old.old_height)


def objects(look: Reference, score: OneScore, old: Line, new: Line, scores: np.ndarray, labels: np.ndarray) -> bool:
    """Say whether the labels fit the new line better than the old one by more than chance would."""
    odds = score.log_odds(scores) - old.at
    offset = shift_of(look.share, share_of(look, labels))
    gained = [
        -np.logaddexp(0, (1 - 2 * labels) * (line.slope * odds + line.height + offset)).sum() for line in (new, old)
    ]
    return bool(2 * (gained[0] - gained[1]) > OBJECTION)


def share_of(look: Reference, labels: np.ndarray) -> float:
    """Return the share of the finding among labels, as if validation had given one more."""
    return float((labels.sum() + look.share) / (len(labels) + 1))


def shift_of(before: float, after: float) -> float:
    """Return by how much log-odds rise where the finding is as frequent as `after` instead of `before`."""
    return math.log(after / (1 - after)) - math.log(before / (1 - before))


def _fitted(
    odds: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    prior: np.ndarray,
    spread: np.ndarray,
    offset: float = 0.0,
) -> tuple[float, float]:
    """Return slope and height of the likeliest line under a normal prior: Newton's method with halved steps."""
    design = np.column_stack([odds, np.ones(len(odds))])
    least = np.array([LEAST_SLOPE * prior[0], -np.inf])

    def loss(line: np.ndarray) -> float:
        margins = (1 - 2 * labels) * (design @ line + offset)
        return float(weights @ np.logaddexp(0, margins) + np.square((line - prior) / spread).sum() / 2)

    line = prior.copy()
    for _ in range(STEPS):
        found = 1 / (1 + np.exp(-np.clip(design @ line + offset, -500, 500)))
        gradient = design.T @ (weights * (found - labels)) + (line - prior) / np.square(spread)
        curvature = (design * (weights * found * (1 - found))[:, None]).T @ design + np.diag(1 / np.square(spread))
        step, size, before = np.linalg.solve(curvature, gradient), 1.0, loss(line)
        while loss(np.maximum(line - size * step, least)) > before and size > 1e-6:
            size /= 2
        moved = np.maximum(line - size * step, least)
        if np.abs(moved - line).max() < 1e-8:
            break
        line = moved
    return float(line[0]), float(line[1])


@dataclass(frozen=True)
class Judged:
    """What labelled images say of a new line.

    Attributes:
        balanced_accuracy, threshold: (value, low, high), 95 % by bootstrap over patients, each time fitted anew; the
            threshold is a probability as the model gives it now.
        more: labelled images that are still missing for a balanced accuracy that is known to within `WANTED`.
    """

    balanced_accuracy: tuple[float, float, float]
    threshold: tuple[float, float, float]
    more: int


def judged(
    look: Reference, score: OneScore, old: Line, new: Line, scores: np.ndarray, labels: np.ndarray, patients: np.ndarray
) -> Judged:
    """Judge a line by the labelled images (N,) of these patients (N,) that it was fitted to."""
    random = np.random.default_rng(SEED)
    _, codes = np.unique(patients, return_inverse=True)
    rows_of = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    found: list[tuple[float, float]] = []
    while len(found) < RESAMPLES:
        rows = np.concatenate([rows_of[code] for code in random.integers(0, len(rows_of), len(rows_of))])
        if 0 < labels[rows].sum() < len(rows):
            line = fitted(look, score, old, scores[rows], labels[rows])
            found.append((_balanced(score, line, scores[rows], labels[rows]), line.threshold))
    low, high = np.quantile(np.array(found), [0.025, 0.975], axis=0)
    value, least, most = (1 / (1 + math.exp(-odds)) for odds in (new.threshold, low[1], high[1]))
    accuracy = _balanced(score, new, scores, labels)
    more = max(0, needed(*_rates(score, new, scores, labels), labels.mean(), len(labels) / len(rows_of)) - len(labels))
    return Judged((accuracy, float(low[0]), float(high[0])), (value, least, most), more)


def needed(right: float, spared: float, share: float, images_a_patient: float = 1.0, wanted: float = WANTED) -> int:
    """Return how many labelled images tell the balanced accuracy to within `wanted`, 95 % sure.

    Args:
        right, spared: sensitivity and specificity, about.
        share: of the labelled images that have the finding.
    """
    variance = (right * (1 - right) / share + spared * (1 - spared) / (1 - share)) / 4
    return math.ceil((1.96 / wanted) ** 2 * variance * images_a_patient)


def _rates(score: OneScore, line: Line, scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return sensitivity and specificity, two of four images more being wrong, as all being right promises too much."""
    called = score.log_odds(scores) >= line.threshold
    found, spared = called[labels == 1], ~called[labels == 0]
    return (found.sum() + 2) / (len(found) + 4), (spared.sum() + 2) / (len(spared) + 4)


def _balanced(score: OneScore, line: Line, scores: np.ndarray, labels: np.ndarray) -> float:
    called = score.log_odds(scores) >= line.threshold
    return float((called[labels == 1].mean() + (~called[labels == 0]).mean()) / 2)

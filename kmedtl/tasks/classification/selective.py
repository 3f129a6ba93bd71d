"""What is gained when the least confident answers are handed to a person: error against coverage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from kmedtl.statistics.confidence import Estimate, wilson

POINTS = 20


@dataclass(frozen=True)
class SelectiveCurve:
    """How often the model errs on the answers that it keeps.

    Attributes:
        table: about 20 rows, coverage rising: `coverage` (share of the images that the model answers), `threshold` (the
            least confidence among them), `error` (share of those answered wrongly), `error_low`, `error_high` (Wilson's
            interval by patient).
        aurc: area under the curve of all images: the mean error over all coverages, 0–1.
        excess_aurc: `aurc` minus that of a confidence that puts every wrong answer last; 0 is perfect, and unlike
            `aurc` it does not rise with the error itself.

    Source: Geifman, Uziel & El-Yaniv, Bias-Reduced Uncertainty Estimation, ICLR 2019, section 3.
    """

    table: pd.DataFrame
    aurc: float
    excess_aurc: float


def decision_confidence(probabilities: np.ndarray, decisions: np.ndarray) -> np.ndarray:
    """Return the probability that each decision is right, of the shape of both.

    Args:
        probabilities: calibrated, of the finding. Of several classes the confidence is simply the largest probability.
        decisions: bool, that the finding is there.
    """
    return np.where(decisions, probabilities, 1 - probabilities)


def selective_curve(confidence: np.ndarray, wrong: np.ndarray, patients: np.ndarray) -> SelectiveCurve:
    """Return error against coverage, for confidence (N,), wrong (N,) bool and patients (N,), N ≥ 1.

    Images of equal confidence are kept or handed over together; the areas take the mean over their orders.
    """
    wrong = np.asarray(wrong, bool)
    aurc = _area(confidence, wrong)
    rows = [
        {"coverage": coverage, "threshold": threshold, "error": error.value}
        | {"error_low": error.low, "error_high": error.high}
        for threshold, coverage, error in _points(confidence, wrong, patients, POINTS)
    ]
    return SelectiveCurve(pd.DataFrame(rows), aurc, aurc - _area(~wrong, wrong))


def _points(
    confidence: np.ndarray, wrong: np.ndarray, patients: np.ndarray, count: int
) -> list[tuple[float, float, Estimate]]:
    """Return threshold, coverage and error at about `count` coverages, rising."""
    patients = np.asarray(patients)
    thresholds = np.quantile(confidence, 1 - np.arange(1, count + 1) / count, method="inverted_cdf")
    points = []
    for threshold in np.unique(thresholds)[::-1]:
        kept = confidence >= threshold
        points.append((float(threshold), float(kept.mean()), wilson(wrong[kept], patients[kept])))
    return points


def _area(confidence: np.ndarray, wrong: np.ndarray) -> float:
    """Return the mean over n of the error of the n most confident, wrong answers spread evenly over their ties."""
    _, step_of_row = np.unique(-np.asarray(confidence, np.float64), return_inverse=True)
    share = np.bincount(step_of_row, wrong) / np.bincount(step_of_row)
    return float((np.cumsum(share[np.sort(step_of_row)]) / np.arange(1, len(wrong) + 1)).mean())

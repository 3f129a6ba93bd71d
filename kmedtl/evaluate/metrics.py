"""What a two-class test set says, every figure with its 95 % interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from kmedtl.data.manifest import UNKNOWN
from kmedtl.evaluate.confidence import Estimate, bootstrap, delong_auc, wilson


@dataclass(frozen=True)
class Metrics:
    """Figures of one split at one operating point.

    Attributes:
        count, patients: images and patients judged.
        confusion: ((true negatives, false positives), (false negatives, true positives)).
        estimates: name → figure with interval, in the order of a report.
    """

    count: int
    patients: int
    confusion: tuple[tuple[int, int], tuple[int, int]]
    estimates: dict[str, Estimate]

    def to_dict(self) -> dict:
        """Return the figures as JSON holds them."""
        (tn, fp), (fn, tp) = self.confusion
        return {
            "images": self.count,
            "patients": self.patients,
            "confusion": {"tn": tn, "fp": fp, "fn": fn, "tp": tp},
            **{name: asdict(estimate) for name, estimate in self.estimates.items()},
        }


def judge(table: pd.DataFrame, threshold: float | np.ndarray, resamples: int, seed: int) -> Metrics:
    """Judge predictions: columns `label` (0 or 1), `logit`, `probability` (0–1) and `patient`.

    `threshold` is one for all, or one a row, since each fold has its own.

    Ranks come from the logits, since probabilities can round to the same number. Intervals are two-sided, 95 %: DeLong
    for the AUC, Wilson for proportions, a bootstrap for the rest, all by patient.
    """
    labels, logits = table["label"].to_numpy(), table["logit"].to_numpy()
    decisions = (table["probability"].to_numpy() >= threshold).astype(int)
    tn, fp, fn, tp = np.bincount(2 * labels + decisions, minlength=4).tolist()
    patients = table["patient"].to_numpy()

    def share(hits: np.ndarray, among: np.ndarray) -> Estimate:
        return wilson(hits[among], patients[among])

    def resampled(metric: Callable[..., np.ndarray], values: np.ndarray) -> Estimate:
        return bootstrap(lambda weights: metric(labels, values, weights), patients, resamples, seed)

    right = labels == decisions
    estimates = {
        "auc": delong_auc(labels, logits, patients),
        "average_precision": resampled(average_precision, logits),
        "accuracy": share(right, labels >= 0),
        "balanced_accuracy": resampled(balanced_accuracy, decisions),
        "sensitivity": share(right, labels == 1),
        "specificity": share(right, labels == 0),
        "ppv": share(right, decisions == 1),
        "npv": share(right, decisions == 0),
        "f1": resampled(f1, decisions),
    }
    return Metrics(len(labels), len(set(patients)), ((tn, fp), (fn, tp)), estimates)


def mean_auc(targets: np.ndarray, logits: np.ndarray) -> float:
    """Return the mean AUC over the findings; see `mean_over_findings`."""
    return mean_over_findings(roc_auc_score, targets, logits)


def mean_over_findings(
    figure: Callable[[np.ndarray, np.ndarray], float], targets: np.ndarray, logits: np.ndarray
) -> float:
    """Return the mean of a figure over the findings of which both answers are known; NaN where there is none.

    Args:
        figure: of the labels (n,) and logits (n,) of one finding.
        targets: (N, findings): 1, 0 or `UNKNOWN`, which is left out.
        logits: (N, findings).
    """
    columns = [
        (target[target != UNKNOWN], logit[target != UNKNOWN]) for target, logit in zip(targets.T, logits.T, strict=True)
    ]
    known = [figure(target, logit) for target, logit in columns if len(set(target)) == 2]
    return float(np.mean(known)) if known else float("nan")


def average_precision(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Σ (recall step × precision) for each row of `weights` (R, N); tied scores are one step."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    weights = weights[:, order]
    found = np.cumsum(weights * labels[order], axis=1)[:, last_of_tie]
    called = np.cumsum(weights, axis=1)[:, last_of_tie]
    steps = np.diff(found, axis=1, prepend=0)
    with np.errstate(invalid="ignore"):
        return (steps * (found / np.maximum(called, 1))).sum(axis=1) / found[:, -1]


def balanced_accuracy(labels: np.ndarray, decisions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean of sensitivity and specificity for each row of `weights` (R, N)."""
    with np.errstate(invalid="ignore"):
        sensitivity = (weights @ (labels * decisions)) / (weights @ labels)
        specificity = (weights @ ((1 - labels) * (1 - decisions))) / (weights @ (1 - labels))
    return (sensitivity + specificity) / 2


def f1(labels: np.ndarray, decisions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the harmonic mean of sensitivity and PPV for each row of `weights` (R, N)."""
    with np.errstate(invalid="ignore"):
        return 2 * (weights @ (labels * decisions)) / (weights @ labels + weights @ decisions)

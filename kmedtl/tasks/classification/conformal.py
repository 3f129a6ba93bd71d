"""Sets of answers that hold the truth as often as stated: split-conformal prediction, by patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kmedtl.errors import expect
from kmedtl.statistics.confidence import Estimate, codes_of, wilson


@dataclass(frozen=True)
class Coverage:
    """How prediction sets fare on images that they were not fitted on.

    Attributes:
        coverage: share of the images whose set holds the truth.
        by_class: the same of the images of each class.
        size: mean number of answers in a set.
        empty: share of the sets that hold none: an image unlike those of validation.
    """

    coverage: Estimate
    by_class: tuple[Estimate, ...]
    size: float
    empty: float


def fit_conformal(
    probabilities: np.ndarray, targets: np.ndarray, patients: np.ndarray, coverage: float, by_class: bool = False
) -> np.ndarray:
    """Return for each class how improbable an answer may be to belong to the set, (K,) in 0–1, fitted on validation.

    The score of an image is 1 − the probability of the truth. Images of one patient are not exchangeable, but patients
    are: each counts as one, divided evenly among its images, and the next patient stands at infinity. The set of an
    image drawn from a new patient then holds the truth with at least the stated probability, whatever the model is,
    provided that patients are like those of validation and that these had no part in making the model. A run's had:
    they chose its epoch and its calibration, so its sets may hold the truth less often. Taking one image a
    patient would be as right and waste the others. Where there are too few patients to promise it, every set holds
    every answer.

    Args:
        probabilities: (N, K) of K classes; one column: of a yes-or-no question, of which K = 2 are no and yes.
        targets: of the same shape: 1, 0 or −1, unknown, which is left out.
        patients: (N,).
        coverage: above 0 and below 1.
        by_class: promise the coverage within each class, so that a rare one is not given up for a frequent one
            (Mondrian); it costs larger sets.

    Sources: Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World (2005), chapters 2 and 4; Sadinle, Lei &
    Wasserman, JASA 2019 (LAC score); Angelopoulos & Bates, 2021, section 1; Lee, Barber & Willett, Distribution-Free
    Inference with Hierarchical Data, 2023 (patients).
    """
    expect(0 < coverage < 1, "coverage", "above 0 and below 1", coverage)
    known = (np.asarray(targets) >= 0).all(axis=1)
    chances, truth = _classes(probabilities[known]), _classes(targets[known]) == 1
    scores, owners = 1 - chances[truth], np.asarray(patients)[known]
    if not by_class:
        return np.full(chances.shape[1], _quantile(scores, owners, coverage))
    return np.array([_quantile(scores[rows], owners[rows], coverage) for rows in truth.T])


def sets(probabilities: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return which answers the set of each image holds, bool (N, K), from probabilities as of `fit_conformal`."""
    return 1 - _classes(probabilities) <= thresholds


def coverage_and_size(answers: np.ndarray, targets: np.ndarray, patients: np.ndarray) -> Coverage:
    """Judge sets (N, K) against targets, as of `fit_conformal`; intervals are Wilson's by patient."""
    known = (np.asarray(targets) >= 0).all(axis=1)
    answers, truth, owners = answers[known], _classes(targets[known]) == 1, np.asarray(patients)[known]
    held = answers[truth]
    return Coverage(
        wilson(held, owners),
        tuple(wilson(held[rows], owners[rows]) for rows in truth.T),
        float(answers.sum(axis=1).mean()),
        float((~answers.any(axis=1)).mean()),
    )


def _classes(values: np.ndarray) -> np.ndarray:
    """Return a column for each class, of probabilities or of known targets."""
    return np.concatenate([1 - values, values], axis=1) if values.shape[1] == 1 else values


def _quantile(scores: np.ndarray, patients: np.ndarray, coverage: float) -> float:
    """Return the least score that `coverage` of the patients and one more stay at or below; 1, the largest, of none."""
    codes = codes_of(patients)
    images = np.bincount(codes)
    order = np.argsort(scores)
    reached = np.cumsum(1 / images[codes[order]]) / (len(images) + 1)
    place = int(np.searchsorted(reached, coverage - 1e-12))  # sums of thirds round
    return float(scores[order[place]]) if place < len(order) else 1.0

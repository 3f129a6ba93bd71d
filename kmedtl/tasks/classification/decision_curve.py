"""Is the model worth using? Net benefit against treating everybody and treating nobody."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kmedtl.statistics.clustered import unbounded
from kmedtl.statistics.confidence import at_least_by_patients, codes_of, rarer_class
from kmedtl.system.progress import progress

THRESHOLDS = np.arange(1, 50) / 50


def decision_curve(
    labels: np.ndarray,
    probabilities: np.ndarray,
    patients: np.ndarray,
    prevalence: float | None = None,
    thresholds: np.ndarray = THRESHOLDS,
) -> pd.DataFrame:
    """Return the net benefit at each threshold probability, in true positives an image.

    A threshold p states the exchange: a false alarm costs p / (1 − p) of what a finding found is worth. The net benefit
    is sensitivity · π − (1 − specificity) · (1 − π) · p / (1 − p) at prevalence π.

    Args:
        labels: (N,): 1, 0, both present, or −1, unknown, which is left out.
        probabilities: (N,), calibrated; a finding is decided from the threshold on.
        patients: (N,).
        prevalence: where the model will be used; None: as in `labels`.
        thresholds: (T,), above 0 and below 1.

    Returns:
        Columns `threshold`, `model`, `model_low`, `model_high` (by patient), `treat_all`, `treat_none`.

    Sources: Vickers & Elkin, Medical Decision Making 2006; at another prevalence: Kerr et al., JCO 2016.
    """
    known = np.asarray(labels) >= 0
    positive, chances, owners = np.asarray(labels)[known] == 1, probabilities[known], codes_of(patients)[known]
    share = positive.mean() if prevalence is None else prevalence
    weights = np.where(positive, share / positive.sum(), (1 - share) / (~positive).sum())
    rows, carriers = [], rarer_class(positive.astype(int), owners)
    for threshold in progress(thresholds, "Net benefit", unit="threshold", delay=2):
        odds = threshold / (1 - threshold)
        gains = np.where(positive, 1, -odds) * (chances >= threshold)
        added = _influence(gains, weights, positive, prevalence)
        bounds = (-odds, 1.0) if prevalence is None else (-(1 - share) * odds, share)
        benefit = at_least_by_patients(unbounded(float(weights @ gains), added, owners), carriers, bounds)
        rows.append(
            {
                "threshold": threshold,
                "model": benefit.value,
                "model_low": benefit.low,
                "model_high": benefit.high,
                "treat_all": float(share - (1 - share) * odds),
                "treat_none": 0.0,
            }
        )
    return pd.DataFrame(rows)


def _influence(gains: np.ndarray, weights: np.ndarray, positive: np.ndarray, prevalence: float | None) -> np.ndarray:
    """Return what each image adds to the net benefit: a mean over all, or at a fixed prevalence one a class."""
    if prevalence is None:
        return weights * (gains - weights @ gains)
    return weights * (gains - np.where(positive, gains[positive].mean(), gains[~positive].mean()))

"""Means and regressions where the images of a patient are not independent: errors from what each image adds."""

from __future__ import annotations

import math

import numpy as np

from kmedtl.evaluate.confidence import Estimate, codes_of, spread_by_patient, student


def error_by_patient(influence: np.ndarray, patients: np.ndarray) -> tuple[float, float]:
    """Return the standard error of a figure from what each row adds to it (N,), and its degrees of freedom.

    NaN where there is one patient only.
    """
    if codes_of(patients).max(initial=0) < 1:
        return math.nan, math.nan
    variance, freedom = spread_by_patient(influence, patients)
    return math.sqrt(variance), freedom


def unbounded(value: float, influence: np.ndarray, patients: np.ndarray) -> Estimate:
    """Return a figure that may be any number with its interval, from what each row adds to it (N,)."""
    error, freedom = error_by_patient(influence, patients)
    if math.isnan(error):
        return Estimate(value, math.nan, math.nan, "one patient only")
    reach = student(freedom) * error
    return Estimate(value, value - reach, value + reach, "sandwich by patient")

"""Means and regressions where the images of a patient are not independent: errors from what each image adds."""

from __future__ import annotations

import math

import numpy as np

from kmedtl.statistics.confidence import Estimate, codes_of, half_by_patient, leveraged


def error_by_patient(influence: np.ndarray, patients: np.ndarray) -> float:
    """Return the standard error of a figure from what each row adds to it (N,); NaN where there is one patient only."""
    sums = np.bincount(codes_of(patients), influence)
    return math.sqrt(sums @ sums * len(sums) / (len(sums) - 1)) if len(sums) > 1 else math.nan


def unbounded(value: float, influence: np.ndarray, patients: np.ndarray) -> Estimate:
    """Return a figure that may be any number with its interval, from what each row adds to it (N,)."""
    if codes_of(patients).max(initial=0) < 1:
        return Estimate(value, math.nan, math.nan, "one patient only")
    half = half_by_patient(leveraged(influence, patients), patients)
    return Estimate(value, value - half, value + half, "jackknife by patient")

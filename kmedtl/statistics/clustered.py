"""Means and regressions where the images of a patient are not independent: errors from what each image adds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from kmedtl.statistics.confidence import Estimate, codes_of, half_by_patient, leveraged

LOG = "jackknife by patient, log scale"


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


def above_zero(value: float, influence: np.ndarray, patients: np.ndarray) -> Estimate:
    """Return a figure that can't be below 0 with its interval on the log scale: few patients show it too small.

    Above, it follows the exponential to the second order, so that two patients do not make it endless.

    Args:
        influence: what each row adds to it (N,).
    """
    found = unbounded(value, influence, patients)
    if math.isnan(found.high) or not value > 0:
        return found
    half = found.high / value - 1
    return replace(found, low=value * math.exp(-half), high=value * (1 + half + half**2 / 2), method=LOG)


def mean_above_zero(values: np.ndarray, patients: np.ndarray) -> Estimate:
    """Return the mean of values (N,) from 0 up with its interval by patient."""
    mean = float(values.mean())
    return above_zero(mean, (values - mean) / len(values), patients)

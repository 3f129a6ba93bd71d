"""How far predicted numbers are off: R², errors, limits of agreement, and how often the interval holds the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from kmedtl.edge.tasks.regression import NumberDecoder, numbers
from kmedtl.statistics.clustered import LOG, above_zero, mean_above_zero, unbounded
from kmedtl.statistics.confidence import Estimate, codes_of, undefined, wilson
from kmedtl.statistics.groups import bands, in_order
from kmedtl.tasks.task import Evaluation, Examples

LIMITS = 1.96  # standard deviations of the difference, between which 95 % of normal differences lie


def truth_of(examples: Examples, decoder: NumberDecoder) -> np.ndarray:
    """Return the targets in their unit, float64 (N,)."""
    return numbers(examples.targets, decoder)


def agreement(examples: Examples, decoder: NumberDecoder) -> pd.DataFrame:
    """Return a row an image: `truth`, `predicted`, and the ends `low` and `high` of its interval."""
    predicted = numbers(examples.outputs, decoder)
    ends = {"low": predicted - decoder.half_width, "high": predicted + decoder.half_width}
    return pd.DataFrame({"truth": truth_of(examples, decoder), "predicted": predicted, **ends})


def evaluation_of(table: pd.DataFrame, patients: np.ndarray) -> Evaluation:
    """Judge a table of `agreement`, with 95 % intervals by patient.

    - `r2`: 1 − Σ(truth − predicted)² / Σ(truth − mean)², 0 being as good as the mean of the test.
    - `mae`, `rmse`, `bias`: mean absolute error, root of the mean squared error, mean error (predicted − truth), in the
      target's unit.
    - `lower_limit`, `upper_limit`: bias ∓ 1.96 standard deviations of the error (Bland & Altman, Lancet 1986).
    - `coverage`: how often the interval of a prediction holds the truth.
    """
    codes = codes_of(patients)
    error = (table["predicted"] - table["truth"]).to_numpy()
    bias, spread = float(error.mean()), float(error.std(ddof=1)) if len(error) > 1 else math.nan
    # The influence of an image on the standard deviation: half of how the square of its error exceeds the variance.
    widening = ((error - bias) ** 2 - spread**2) / (2 * spread) if spread > 0 else np.zeros(len(error))
    mean, deviation = _with_interval(bias, error - bias, codes), above_zero(spread, widening / len(error), codes)
    lower, upper = (_limit(mean, deviation, side) for side in (-1, 1))
    estimates = {
        "r2": _r2(table["truth"].to_numpy(), error, codes),
        "mae": mean_above_zero(np.abs(error), codes),
        "rmse": _rmse(error, codes),
        "bias": mean,
        "lower_limit": lower,
        "upper_limit": upper,
        "coverage": wilson(table["truth"].between(table["low"], table["high"]).to_numpy(), codes),
    }
    return Evaluation("r2", estimates, {}, {"agreement": table}, len(table), int(codes.max()) + 1, table)


def by_group(
    table: pd.DataFrame, patients: np.ndarray, groups: pd.DataFrame, columns: Sequence[str]
) -> dict[str, dict[str, Estimate]]:
    """Return mean absolute error and bias of every group: `COLUMN VALUE` → figures."""
    by = {}
    for column in columns:
        names = bands(groups[column].reset_index(drop=True))
        for name in in_order(names):
            rows = np.flatnonzero(names == name)
            found = evaluation_of(table.iloc[rows].reset_index(drop=True), patients[rows])
            by[f"{column} {name}"] = {figure: found.estimates[figure] for figure in ("mae", "bias")}
    return by


def _with_interval(value: float, influence: np.ndarray, codes: np.ndarray, most: float = math.inf) -> Estimate:
    """Return a mean-like figure with its interval, from the influence of each image, whose mean is 0."""
    found = unbounded(value, influence / len(influence), codes)
    return found if math.isnan(found.high) else replace(found, high=min(most, found.high))


def _limit(bias: Estimate, spread: Estimate, side: int) -> Estimate:
    """Return a limit of agreement, its interval put together of those of bias and standard deviation.

    Source: Zou, Statistical Methods in Medical Research 2013 (MOVER).
    """
    value = bias.value + side * LIMITS * spread.value
    if math.isnan(bias.low) or math.isnan(spread.value):
        return Estimate(value, math.nan, math.nan, bias.method)
    inner = math.hypot(bias.high - bias.value, LIMITS * (spread.value - spread.low))
    outer = math.hypot(bias.high - bias.value, LIMITS * (spread.high - spread.value))
    below, above = (inner, outer) if side > 0 else (outer, inner)
    return Estimate(value, value - below, value + above, LOG)


def r2(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of the variance that is explained; NaN of a constant truth."""
    if is_constant(truth):
        return math.nan
    return 1 - float(((truth - predicted) ** 2).sum()) / float(((truth - truth.mean()) ** 2).sum())


def is_constant(truth: np.ndarray) -> bool:
    """Tell whether all numbers are the same, whose variance rounding may make more than 0."""
    return bool(np.ptp(truth) == 0)


def r2_influence(truth: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return what each image adds to R², (N,), the mean being 0."""
    variance, squared = truth.var(), (error**2).mean()
    return -(error**2 - squared) / variance + squared * ((truth - truth.mean()) ** 2 - variance) / variance**2


def r2_gain(truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray, patients: np.ndarray) -> Estimate:
    """Return R² of our predictions minus the mean R² of theirs (K, N), paired by image."""
    codes = codes_of(patients)
    if is_constant(truth):
        return undefined("the truth is the same in every image")
    other = float(np.mean([r2(truth, one) for one in theirs]))
    influence = np.mean(
        [r2_influence(truth, ours - truth) - r2_influence(truth, one - truth) for one in theirs], axis=0
    )
    return _with_interval(r2(truth, ours) - other, influence, codes)


def _r2(truth: np.ndarray, error: np.ndarray, codes: np.ndarray) -> Estimate:
    if is_constant(truth):
        return undefined("the truth is the same in every image")
    return _with_interval(r2(truth, truth + error), r2_influence(truth, error), codes, most=1.0)


def _rmse(error: np.ndarray, codes: np.ndarray) -> Estimate:
    value = math.sqrt(float((error**2).mean()))
    influence = (error**2 - value**2) / (2 * value) if value else np.zeros(len(error))
    return above_zero(value, influence / len(error), codes)


def half_width(table: pd.DataFrame, patients: np.ndarray, coverage: float) -> float:
    """Return how far a prediction may be off so that the interval holds the truth with a probability of `coverage`.

    The quantile of validation's absolute errors by split conformal prediction (Lei et al., JASA 2018, section 2.2), a
    patient's images sharing the weight of one; infinite errors of too few patients become the largest seen.
    """
    errors = (table["predicted"] - table["truth"]).abs().to_numpy()
    codes = codes_of(patients)
    counts = np.bincount(codes)
    order = np.argsort(errors)
    weight = np.cumsum((1 / counts[codes])[order]) / (len(counts) + 1)
    reached = np.flatnonzero(weight >= coverage)
    return float(errors[order[reached[0]]] if len(reached) else errors.max())

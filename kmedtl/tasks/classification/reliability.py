"""Do probabilities mean what they say? Calibration errors, proper scores, the table of a reliability diagram."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kmedtl.edge.tasks.classification.labels import LabelKind
from kmedtl.statistics.clustered import unbounded
from kmedtl.statistics.confidence import (
    SETTLED,
    Estimate,
    Z,
    at_least_by_patients,
    codes_of,
    half_by_patient,
    leveraged,
    of_mean,
    rarer_class,
    student,
    undefined,
    wilson,
)
from kmedtl.statistics.logistic import regress

BINS = 15
EPSILON = float(np.finfo(np.float64).eps)  # a probability of 0 or 1 counts as that far from it, as in scikit-learn


@dataclass(frozen=True)
class Claims:
    """Probabilities beside what came true, one a known answer.

    Attributes:
        probability: (M,), of the finding; `multi_class`: of the class with the largest probability.
        hit: (M,) bool, whether the image has the finding, or that class.
        patients: (M,).
    """

    probability: np.ndarray
    hit: np.ndarray
    patients: np.ndarray


def claims(probabilities: np.ndarray, targets: np.ndarray, patients: np.ndarray, kind: LabelKind) -> Claims:
    """Return what is claimed of each answer that is known; `multi_label` pools its findings.

    Args:
        probabilities: (N, F) in 0–1.
        targets: (N, F): 1, 0 or −1, unknown.
        patients: (N,).
    """
    patients = np.asarray(patients)
    if kind == "multi_class":
        rows = (targets >= 0).all(axis=1)
        top = probabilities[rows].argmax(axis=1)[:, None]
        probability, hit = (np.take_along_axis(values[rows], top, axis=1)[:, 0] for values in (probabilities, targets))
        return Claims(probability, hit == 1, patients[rows])
    known = targets >= 0
    owners = np.broadcast_to(patients[:, None], targets.shape)
    return Claims(probabilities[known], targets[known] == 1, owners[known])


def log_losses(probabilities: np.ndarray, targets: np.ndarray, kind: LabelKind) -> np.ndarray:
    """Return −log of the probability of each true answer, NaN where it is unknown: (N, F), or `multi_class` (N, 1)."""
    if kind == "multi_class":
        true = np.where(targets == 1, probabilities, 0).sum(axis=1, keepdims=True)
        known = (targets >= 0).all(axis=1, keepdims=True)
    else:
        true, known = np.where(targets == 1, probabilities, 1 - probabilities), targets >= 0
    return np.where(known, -np.log(np.clip(true, EPSILON, 1)), np.nan)


def calibration_figures(
    probabilities: np.ndarray, targets: np.ndarray, patients: np.ndarray, kind: LabelKind, resamples: int, seed: int
) -> dict[str, Estimate]:
    """Return how far probabilities (N, F) are from what they claim, each figure with its interval by patient.

    - `ece`: mean |claimed − observed| over 15 equal bins of the probability, weighted by images (Naeini et al., AAAI
      2015; of the largest probability for `multi_class`, Guo et al., 2017, section 2). In small samples it is biased
      upward, as bins differ by chance even where calibration is perfect; its interval is not, and reaches down to 0
      there. For it the bins' gaps are drawn again from their covariance by patient, the normal limit of a bootstrap, as
      costly with a million images as with a hundred.
    - `adaptive_ece`: the same over 15 bins of equally many images (Nguyen & O'Connor, EMNLP 2015); ties stay together.
    - `brier`: mean squared distance, 0–1; `multi_class`: summed over classes, 0–2 (Brier, 1950).
    - `nll`: mean −log probability of the truth, nats.
    - `calibration_slope`: 1 is right, below 1 is overconfident; `calibration_intercept`: with the slope held at 1, 0 is
      right, above 0 the finding is more frequent than claimed (Cox, Biometrika 1958; Van Calster et al., BMC Medicine
      2019). `multi_class` has one slope of the log probabilities and no intercept.

    `multi_label` pools the answers of all findings; give one column as `binary` for one finding.
    """
    claimed = claims(probabilities, targets, patients, kind)
    gap = claimed.hit - claimed.probability
    figures = {
        name: _calibration_error(gap, bins, claimed.patients, resamples, seed)
        for name, bins in (
            ("ece", _equal_width(claimed.probability)),
            ("adaptive_ece", _equal_mass(claimed.probability)),
        )
    }
    if kind == "multi_class":
        known = (targets >= 0).all(axis=1)
        return figures | _of_classes(probabilities[known], targets[known], np.asarray(patients)[known])
    figures["brier"] = of_mean(gap**2, claimed.patients)
    losses = log_losses(claimed.probability[:, None], claimed.hit[:, None], "binary")[:, 0]
    figures["nll"] = _mean_loss(losses, claimed.patients)
    return figures | _recalibration(claimed)


def reliability(
    probabilities: np.ndarray, targets: np.ndarray, patients: np.ndarray, kind: LabelKind, bins: int = 10
) -> pd.DataFrame:
    """Return the table of a reliability diagram, a row a bin that holds an answer.

    Columns: `low`, `high` (the bin), `count`, `claimed` (mean probability), `observed` (share that came true),
    `observed_low`, `observed_high` (Wilson's interval by patient). Arguments as of `claims`.
    """
    claimed = claims(probabilities, targets, patients, kind)
    places, rows = _equal_width(claimed.probability, bins), []
    for place in np.unique(places):
        inside = places == place
        observed = wilson(claimed.hit[inside], claimed.patients[inside])
        rows.append(
            {
                "low": place / bins,
                "high": (place + 1) / bins,
                "count": int(inside.sum()),
                "claimed": float(claimed.probability[inside].mean()),
                "observed": observed.value,
                "observed_low": observed.low,
                "observed_high": observed.high,
            }
        )
    return pd.DataFrame(rows)


def _equal_width(probability: np.ndarray, bins: int = BINS) -> np.ndarray:
    return np.minimum((probability * bins).astype(int), bins - 1)


def _equal_mass(probability: np.ndarray, bins: int = BINS) -> np.ndarray:
    if not len(probability):
        return np.zeros(0, int)
    edges = np.quantile(probability, np.arange(1, bins) / bins, method="inverted_cdf")
    return np.searchsorted(edges, probability, side="left")


def _calibration_error(gap: np.ndarray, bins: np.ndarray, patients: np.ndarray, resamples: int, seed: int) -> Estimate:
    """Return Σ over bins |Σ gap| / N, in bins that stay where they are when the gaps are drawn again.

    The true gaps μ are within |apart| of those seen, S, so that Σ|μ| ≥ Σ|S| − Σ|apart|: that bounds the error from
    below, also where it is 0. From above, as E Σ|S| ≥ Σ|μ| (Jensen), the spread of Σ|S| about its own mean does.
    """
    if not len(gap):
        return undefined("no known answer")
    codes, total = codes_of(patients), len(gap)
    images = np.bincount(codes)
    sums = np.bincount(codes * BINS + bins, gap, minlength=len(images) * BINS).reshape(-1, BINS)
    mean = sums.sum(axis=0) / total
    value = float(np.abs(mean).sum())
    if len(images) < 2:
        return at_least_by_patients(Estimate(value, value, value, ""), 1)
    pull = math.sqrt(1 - 1 / len(images)) / (1 - images[:, None] / total)  # as of `leveraged`
    influence = pull * (sums - images[:, None] * mean) / total
    furthest = influence[np.abs(influence).sum(axis=1).argmax()]  # one more patient, as of `unseen`
    influence = np.concatenate([influence, furthest[None]])
    random = np.random.default_rng(seed)
    apart = random.multivariate_normal(np.zeros(BINS), influence.T @ influence, resamples, method="eigh")
    apart *= student(len(images) - 1) / Z
    drawn = np.abs(mean + apart).sum(axis=1)
    low = value - float(np.percentile(np.abs(apart).sum(axis=1), 97.5))
    high = value + float(np.percentile(drawn, 97.5) - drawn.mean())
    found = Estimate(value, max(0.0, low), min(1.0, high), f"gaps drawn by patient, {resamples} resamples")
    return at_least_by_patients(found, len(images))


def _recalibration(claimed: Claims) -> dict[str, Estimate]:
    """Return slope and intercept of the logistic regression of what came true on the logit of what was claimed."""
    probability = np.clip(claimed.probability, EPSILON, 1 - EPSILON)
    logit = np.log(probability / (1 - probability))
    hits, names = claimed.hit.astype(int)[:, None], ("calibration_slope", "calibration_intercept")
    if len(set(claimed.hit)) < 2:
        return dict.fromkeys(names, undefined("one answer only"))
    ones = np.ones((len(logit), 1, 1))
    slope = _slope(np.concatenate([logit[:, None, None], ones], axis=2), hits, claimed.patients)
    intercept = _parameter(ones, hits, np.zeros(1), claimed.patients, offset=logit[:, None])
    return dict(zip(names, (slope, intercept), strict=True))


def _of_classes(probabilities: np.ndarray, targets: np.ndarray, patients: np.ndarray) -> dict[str, Estimate]:
    return {
        "brier": of_mean(((probabilities - targets) ** 2).sum(axis=1), patients, most=2.0),
        "nll": _mean_loss(log_losses(probabilities, targets, "multi_class")[:, 0], patients),
        "calibration_slope": _slope(np.log(np.clip(probabilities, EPSILON, 1))[..., None], targets, patients),
    }


def _slope(design: np.ndarray, targets: np.ndarray, patients: np.ndarray) -> Estimate:
    scores = design[..., 0]
    across = 0 if scores.shape[1] == 1 else 1
    if not len(scores) or not np.ptp(scores, axis=across).any():
        return undefined("all probabilities are equal")
    if _separated(scores, targets):
        return undefined("the probabilities separate the answers without error")
    return _parameter(design, targets, np.eye(design.shape[2])[0], patients)


def _parameter(
    design: np.ndarray, targets: np.ndarray, start: np.ndarray, patients: np.ndarray, offset: np.ndarray | float = 0.0
) -> Estimate:
    """Return the first parameter of a logistic regression, with the sandwich interval by patient.

    Of few patients it is no number: those who are surest decide it, and no interval says how far.
    """
    several = targets.shape[1] > 1
    if (len(np.unique(patients)) if several else rarer_class(targets[:, 0], patients)) < SETTLED:
        return undefined(f"fewer than {SETTLED} patients" + ("" if several else " with one of the answers"))
    fitted = regress(design, targets, start, offset=offset)
    influence = fitted.gradients @ np.linalg.inv(fitted.hessian)
    return unbounded(float(fitted.parameters[0]), influence[:, 0], patients)


def _mean_loss(losses: np.ndarray, patients: np.ndarray) -> Estimate:
    """Return the mean of losses that are 0 or more, with its interval on the log scale."""
    if not len(losses):
        return undefined("no known answer")
    if codes_of(patients).max() + 1 < 2 * SETTLED:
        return undefined(f"fewer than {2 * SETTLED} patients: one of them decides it")
    mean = float(losses.mean())
    half = half_by_patient(leveraged((losses - mean) / len(losses), patients), patients) / mean if mean else 0.0
    return Estimate(mean, mean * math.exp(-half), mean * math.exp(half), "jackknife by patient, log scale")


def _separated(scores: np.ndarray, targets: np.ndarray) -> bool:
    """Return whether a steeper slope only ever helps, in either direction, so that there is no steepest."""
    if scores.shape[1] == 1:
        positive, negative = scores[targets == 1], scores[targets == 0]
        return positive.min() >= negative.max() or positive.max() <= negative.min()
    true = np.where(targets == 1, scores, 0).sum(axis=1)
    return bool((true == scores.max(axis=1)).all())

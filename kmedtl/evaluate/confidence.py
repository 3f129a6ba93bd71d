"""95 % intervals: DeLong for the AUC, Wilson for proportions, patients resampled for the rest; all by patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

Z = float(norm.ppf(0.975))


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float
    method: str

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


def delong_auc(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> Estimate:
    """Return the area under the ROC curve with DeLong's interval, on the logit scale, for clustered data.

    The images of a patient are not independent: the placements are summed by patient (Obuchowski, Biometrics 1997),
    which is DeLong's variance (Biometrics 1988) where each patient has one image. The logit scale keeps the interval
    inside 0–1 (Qin & Hotilovac, Stat. Methods in Medical Research 2008). Where the variance is zero (the AUC is 0 or
    1, or all scores are equal) or cannot be had, the exact bound on an error rate of 0 in n patients of the rarer
    class, 1 − 0.05^(1/n), stands in for it on either side.
    """
    labels = np.asarray(labels)
    placed = _placements(labels, np.asarray(scores, np.float64))
    auc, variance = _mean_and_variance(placed, labels, patients)
    if variance <= 0 or auc in (0.0, 1.0):
        slack = _slack(labels, patients)
        return Estimate(auc, max(0.0, auc - slack), min(1.0, auc + slack), "exact bound")
    center, spread = np.log(auc / (1 - auc)), Z * np.sqrt(variance) / (auc * (1 - auc))
    low, high = (1 / (1 + np.exp(-(center + side * spread))) for side in (-1, 1))
    return Estimate(auc, float(low), float(high), "DeLong by patient, logit scale")


def auc_loss(labels: np.ndarray, before: np.ndarray, after: np.ndarray, patients: np.ndarray) -> Estimate:
    """Return by how much the AUC of `before` exceeds that of `after`, scores of the same images, with an interval.

    It is DeLong's for paired curves (Biometrics 1988): differences of placements are summed by patient, as placements
    are in `delong_auc`, so what both have in common cancels. Where they differ without a variance, the exact bound of
    `delong_auc` stands in for it; scores in the same order lose exactly 0.

    Args:
        before: (N,).
        after: (N,), or (K, N): the mean AUC of K changes counts.
    """
    labels, after = np.asarray(labels), np.atleast_2d(after)
    placed = _placements(labels, np.asarray(before, np.float64))
    differences = np.mean([placed - _placements(labels, np.asarray(scores, np.float64)) for scores in after], axis=0)
    loss, variance = _mean_and_variance(differences, labels, patients)
    loss = round(loss, 12) + 0.0  # equal areas differ by no sign
    if variance > 0:
        half, method = Z * np.sqrt(variance), "DeLong by patient, paired"
    else:
        same = all(np.array_equal(rankdata(before), rankdata(scores)) for scores in after)
        half, method = (0.0, "same order") if same else (_slack(labels, patients), "exact bound")
    return Estimate(loss, float(max(-1.0, loss - half)), float(min(1.0, loss + half)), method)


def _placements(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return for each row the share of the other class's rows that it is rightly above or below; ties count half."""
    positive, negative = labels == 1, labels == 0
    ranks = rankdata(scores)
    placed = np.empty(len(scores))
    placed[positive] = (ranks[positive] - rankdata(scores[positive])) / negative.sum()
    placed[negative] = 1 - (ranks[negative] - rankdata(scores[negative])) / positive.sum()
    return placed


def _mean_and_variance(placed: np.ndarray, labels: np.ndarray, patients: np.ndarray) -> tuple[float, float]:
    """Return the mean placement and its variance by patient, 0 where a class has one patient only."""
    _, codes = np.unique(patients, return_inverse=True)
    positive, negative = labels == 1, labels == 0
    m, n = int(positive.sum()), int(negative.sum())
    mean = float(placed[positive].mean())
    a = np.bincount(codes[positive], placed[positive] - mean, minlength=codes.max() + 1)
    b = np.bincount(codes[negative], placed[negative] - mean, minlength=codes.max() + 1)
    with_positive, with_negative = len(set(codes[positive])), len(set(codes[negative]))
    if min(with_positive, with_negative) < 2:
        return mean, 0.0
    variance = with_positive / (with_positive - 1) * (a @ a) / m**2
    variance += with_negative / (with_negative - 1) * (b @ b) / n**2
    return mean, float(variance + 2 * len(a) / (len(a) - 1) * (a @ b) / (m * n))


def _slack(labels: np.ndarray, patients: np.ndarray) -> float:
    """Return the exact bound on an error rate of which the patients of the rarer class show none."""
    rarer = min(len(set(np.asarray(patients)[labels == answer])) for answer in (0, 1))
    return 1 - 0.05 ** (1 / rarer)


def wilson(hits: np.ndarray, patients: np.ndarray) -> Estimate:
    """Return the share of `hits` (bool, one an image) with Wilson's score interval; NaN where there is none to count.

    Images count for as many as they would be if independent: n / design effect, the clustered variance of the share
    over the binomial one, at least 1. With one image a patient it is Wilson's own interval.

    Sources: Wilson, J. Am. Statistical Association 1927; Rao & Scott, Biometrics 1992.
    """
    total = len(hits)
    if total == 0:
        return Estimate(float("nan"), 0.0, 1.0, "Wilson by patient")
    share = float(np.mean(hits))
    _, codes = np.unique(patients, return_inverse=True)
    groups = codes.max() + 1
    residuals = np.bincount(codes, np.asarray(hits) - share)
    effect = 1.0
    if groups > 1 and 0 < share < 1:
        effect = max(1.0, (residuals @ residuals) / (total * share * (1 - share)))
    effective = min(total / effect, groups if share in (0.0, 1.0) else total)
    scale = 1 + Z**2 / effective
    center = (share + Z**2 / (2 * effective)) / scale
    half = Z * np.sqrt(share * (1 - share) / effective + Z**2 / (4 * effective**2)) / scale
    return Estimate(share, float(max(0.0, center - half)), float(min(1.0, center + half)), "Wilson by patient")


def bootstrap(metric: Callable[[np.ndarray], np.ndarray], patients: np.ndarray, resamples: int, seed: int) -> Estimate:
    """Return `metric` of all rows with the percentile interval over resampled patients.

    Args:
        metric: from weights (R, N), how often each row was drawn, to R figures; NaN where one is undefined.
        patients: the patient of each of the N rows; a patient's rows are drawn together.

    Source: Field & Welsh, Bootstrapping Clustered Data, JRSS B 2007.
    """
    random = np.random.default_rng(seed)
    names, patient_of_row = np.unique(patients, return_inverse=True)
    even = np.full(len(names), 1 / len(names))
    at_once = max(1, 4_000_000 // len(patients))  # bounds memory to a few hundred MB
    values = [
        metric(random.multinomial(len(names), even, size=min(at_once, resamples - done))[:, patient_of_row])
        for done in range(0, resamples, at_once)
    ]
    low, high = np.nanpercentile(np.concatenate(values), [2.5, 97.5])
    value = float(metric(np.ones((1, len(patients)), int))[0])
    return Estimate(value, float(low), float(high), f"bootstrap of patients, {resamples} resamples")

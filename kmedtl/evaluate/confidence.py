"""95 % intervals: DeLong for the AUC, Wilson for proportions, patients resampled for the rest."""

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


def delong_auc(labels: np.ndarray, scores: np.ndarray) -> Estimate:
    """Return the area under the ROC curve with DeLong's interval on the logit scale.

    The logit scale keeps the interval inside 0–1 (Qin & Hotilovac, Stat. Methods in Medical Research 2008); where the
    AUC is exactly 0 or 1 the variance is zero and the exact bound on an error rate of 0 in the smaller class
    (1 − 0.05^(1/n), one-sided) stands in for it.

    Sources: DeLong et al., Biometrics 1988; ranks after Sun & Xu, IEEE Signal Processing Letters 2014.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    positive, negative = scores[labels == 1], scores[labels == 0]
    m, n = len(positive), len(negative)
    everything = rankdata(np.concatenate([positive, negative]))
    placed_positive = (everything[:m] - rankdata(positive)) / n
    placed_negative = 1 - (everything[m:] - rankdata(negative)) / m
    auc = float(placed_positive.mean())
    if auc in (0.0, 1.0) or min(m, n) < 2:
        slack = 1 - 0.05 ** (1 / min(m, n))
        return Estimate(auc, max(0.0, auc - slack), min(1.0, auc + slack), "exact bound")
    variance = placed_positive.var(ddof=1) / m + placed_negative.var(ddof=1) / n
    center, spread = np.log(auc / (1 - auc)), Z * np.sqrt(variance) / (auc * (1 - auc))
    low, high = (1 / (1 + np.exp(-(center + side * spread))) for side in (-1, 1))
    return Estimate(auc, float(low), float(high), "DeLong, logit scale")


def wilson(successes: int, total: int) -> Estimate:
    """Return a proportion with Wilson's score interval; NaN where there is nothing to count.

    Source: Wilson, Journal of the American Statistical Association 1927.
    """
    if total == 0:
        return Estimate(float("nan"), 0.0, 1.0, "Wilson")
    share = successes / total
    scale = 1 + Z**2 / total
    center = (share + Z**2 / (2 * total)) / scale
    half = Z * np.sqrt(share * (1 - share) / total + Z**2 / (4 * total**2)) / scale
    return Estimate(share, float(max(0.0, center - half)), float(min(1.0, center + half)), "Wilson")


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

"""95 % intervals by patient: DeLong for the AUC, Wilson for proportions, the jackknife for the rest.

Three rules hold for every figure. What patients add is taken with the leverage that each has (`leveraged`). Few
patients may lack the one who differs, so the variance counts one more (`on_logit_scale`, `unseen`). And below five
patients no interval is narrower than counting patients gives, below two it is all that the figure may be
(`at_least_by_patients`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.files.digits import in_digits
from kmedtl.statistics.ranking import placements

Z = NormalDist().inv_cdf(0.975)
# Degrees of freedom and Student's t that leaves 2.5 % above it; between them the logarithm runs nearly straight in 1/ν.
STUDENT = (
    (math.inf, Z), (30, 2.0423), (15, 2.1314), (10, 2.2281), (8, 2.3060), (6, 2.4469), (5, 2.5706), (4, 2.7764),
    (3, 3.1824), (2, 4.3027), (1.75, 4.9488), (1.5, 6.0167), (1.25, 8.0280), (1, 12.7062),
)  # fmt: skip
LOG_QUANTILES = [math.log(quantile) for _, quantile in STUDENT]
FEW = 5  # patients, below which a variance says next to nothing
SETTLED = 15  # patients, below which nobody knows how alike the images of one are
WIDE = (-1.0, 1.0)  # where the difference of two figures lies
NOTHING = 1e-18  # a variance below it is rounding
CELLS = 4_000_000  # of an array made for resampling: bounds memory to a few hundred MB


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval.

    Attributes:
        value, low, high: NaN where the data cannot tell; `method` says why then.
    """

    value: float
    low: float
    high: float
    method: str

    @property
    def cell(self) -> str:
        """As a table shows it: without the reason where the data cannot tell; `reasons` has that."""
        return "–" if math.isnan(self.value) else str(self)

    def __str__(self) -> str:
        if math.isnan(self.value):
            return f"– ({self.method})"
        to = " to " if self.high < 0 else "–"  # a dash beside a minus would read as two
        interval = self.method if math.isnan(self.low) else f"{in_digits(self.low)}{to}{in_digits(self.high)}"
        return f"{in_digits(self.value)} ({interval})"


def reasons(named: Iterable[tuple[str, Estimate]]) -> list[str]:
    """Return a line for each figure that the data cannot tell, which says why; the same line once."""
    return list(dict.fromkeys(f"  – {name}: {one.method}" for name, one in named if math.isnan(one.value)))


def estimate_of(written: Mapping[str, Any]) -> Estimate:
    """Return an estimate of metrics.json, where null stands for NaN."""
    fields: dict[str, Any] = {name: math.nan if value is None else value for name, value in written.items()}
    return Estimate(**fields)


def undefined(reason: str) -> Estimate:
    """Return the estimate of what the data cannot tell."""
    return Estimate(math.nan, math.nan, math.nan, reason)


def student(freedom: float) -> float:
    """Return the 97.5 % quantile of Student's t for 1 or more degrees of freedom, within 1 % of the exact one."""
    return math.exp(np.interp(1 / max(freedom, 1), [1 / known for known, _ in STUDENT], LOG_QUANTILES))


def leveraged(
    influence: np.ndarray, patients: np.ndarray, strata: np.ndarray | None = None, weight: float = 1.0
) -> np.ndarray:
    """Return what each row adds to a figure (N,), as the figure would change if its patient were left out.

    A patient whose images are a share h of those averaged pulls the mean towards himself, so that what he seems to add
    is too little by 1 − h; leaving him out shows it. Summed by patient and squared, the result is the jackknife's
    variance, which errs upwards (Efron & Stein, Annals of Statistics 1981), and with one image a patient the usual
    unbiased one. A stratum of one patient can't show how patients differ: it adds the most that a part of its weight
    may vary, half of it (Popoviciu, Mathematica 1935).

    Args:
        influence: what each row adds, 0 on average in each stratum.
        strata: the mean that each row belongs to, such as its class; None: one for all.
        weight: of a stratum's mean in the figure.
    """
    people = codes_of(patients)
    means = np.zeros(len(people), int) if strata is None else codes_of(strata)
    cells, cell, images = np.unique(means * len(people) + people, return_inverse=True, return_counts=True)
    count = np.bincount(cells // len(people))[means]  # patients of the row's stratum
    own, share = images[cell], images[cell] / np.bincount(means)[means]
    alone = count == 1
    return np.where(alone, weight / 2 / own, influence * np.sqrt(1 - 1 / count) / np.where(alone, 1, 1 - share))


def spread_by_patient(influence: np.ndarray, patients: np.ndarray) -> tuple[float, float]:
    """Return the variance of a figure from what each row adds to it (N,), and the degrees of freedom it rests on.

    Rows, as of `leveraged`, are summed by patient (the jackknife; Efron, The Jackknife, the Bootstrap and Other
    Resampling Plans, 1982, chapters 3 and 6). The degrees of freedom are those of the chi-squared with the variance's
    own mean and variance (Satterthwaite, Biometrics 1946): few where few patients decide, however many there are.
    """
    sums = np.bincount(codes_of(patients), influence)
    squares, fourths, groups = float(sums @ sums), float((sums**4).sum()), len(sums)
    if groups < 2 or squares == 0:
        return squares, 1.0
    noise = fourths - squares**2 / groups
    freedom = 2 * squares**2 / noise if noise > 1e-12 * fourths else groups - 1
    return squares, min(freedom, groups - 1)


def unseen(influence: np.ndarray, patients: np.ndarray) -> float:
    """Return the variance that one more patient would add, who differs as much as the most different of those seen."""
    return float(np.square(np.bincount(codes_of(patients), influence)).max())


def half_by_patient(influence: np.ndarray, patients: np.ndarray) -> float:
    """Return half of the interval of a figure without bounds, from what each row adds to it, as of `leveraged`."""
    variance, freedom = spread_by_patient(influence, patients)
    return student(freedom) * math.sqrt(variance + unseen(influence, patients))


def mean_patients(counts: Sequence[int]) -> float:
    """Return how many patients a mean over classes of so many rests on, 1 / Σ (1 / K)² / n; 1 if no class has two."""
    return len(counts) ** 2 / sum(1 / count for count in counts) if max(counts) > 1 else 1.0


def on_logit_scale(
    value: float,
    spread: tuple[float, float],
    clusters: float,
    method: str,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Estimate:
    """Return the interval of a figure between bounds that it cannot leave: Student's, on the logit scale.

    To the variance comes what one more patient would add who is as different as the bounds let him be: of a share p
    among n, p(1 − p) / n². It takes away from the few what they can't know, and next to nothing from the many. Where
    there is no variance or the figure is at a bound, the interval of a share among n = `clusters` stands in.

    Args:
        spread: variance and degrees of freedom, as of `spread_by_patient`.
        clusters: patients that carry the figure: those of the rarer class.
    """
    (variance, freedom), (least, most) = spread, bounds
    reach = most - least
    place = (value - least) / reach
    if variance < NOTHING or min(place, 1 - place) < 1e-12:
        return at_least_by_patients(
            Estimate(value, value, value, "score interval of patients"), clusters, bounds, below=math.inf
        )
    center, variation = math.log(place / (1 - place)), place * (1 - place)
    half = student(freedom) * math.sqrt(variance / reach**2 + variation / clusters**2) / variation
    low, high = (least + reach * (0.5 + 0.5 * math.tanh((center + side * half) / 2)) for side in (-1, 1))
    return at_least_by_patients(Estimate(value, low, high, f"{method}, logit scale"), clusters, bounds)


def at_least_by_patients(
    estimate: Estimate, clusters: float, bounds: tuple[float, float] = (0.0, 1.0), below: float = FEW
) -> Estimate:
    """Return the estimate with the interval that so few patients allow, where fewer than `below` carry it.

    It then reaches at least as far as if each patient were one answer, right or wrong: no figure between bounds varies
    more (Bhatia & Davis, American Mathematical Monthly 2000). One patient shows nothing of how patients differ: the
    interval is all that the figure may be.
    """
    least, most = bounds
    if clusters < 2:
        return Estimate(estimate.value, least, most, "one patient only, so it may be anything")
    if clusters >= below:
        return estimate
    ends = score_interval((estimate.value - least) / (most - least), clusters)
    low, high = (least + (most - least) * end for end in ends)
    return replace(estimate, low=min(estimate.low, low), high=max(estimate.high, high))


def score_interval(share: float, count: float) -> tuple[float, float]:
    """Return Wilson's interval, corrected for continuity, of a share among `count`, which need not be whole.

    Without the correction it covers the truth too seldom where that is near 0 or 1: in 91 % of samples of 10 with 0.95.
    At 0 and 1 it is exact (Clopper & Pearson, Biometrika 1934).

    Source: Newcombe, Statistics in Medicine 1998, method 4.
    """
    beyond = 1 - 0.025 ** (1 / count)
    if min(share, 1 - share) < 1e-12:
        return (0.0, beyond) if share < 0.5 else (1 - beyond, 1.0)
    low, high = (_score_end(at, count) for at in (share, 1 - share))
    return low, 1 - high


def _score_end(share: float, count: float) -> float:
    """Return the lower end."""
    root = Z**2 - 2 - 1 / count + 4 * share * (count * (1 - share) + 1)
    end = (2 * count * share + Z**2 - 1 - Z * math.sqrt(max(0.0, root))) / (2 * (count + Z**2))
    return min(max(0.0, end), share)


def delong_auc(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> Estimate:
    """Return the area under the ROC curve with DeLong's interval, on the logit scale, for clustered data.

    The images of a patient are not independent: the placements are summed by patient (Obuchowski, Biometrics 1997),
    which is DeLong's variance (Biometrics 1988) where each patient has one image. The logit scale keeps the interval
    inside 0–1 (Qin & Hotilovac, Stat. Methods in Medical Research 2008), and Student's quantile makes up for a
    variance that few patients tell. NaN where a class is absent.

    How often it covers the truth is in docs/evaluation.md.
    """
    labels = np.asarray(labels)
    clusters = rarer_class(labels, patients)
    if clusters == 0:
        return undefined("one class only")
    mean, added = _delong(placements(labels, scores), labels, patients)
    return on_logit_scale(mean, spread_by_patient(added, patients), clusters, "DeLong by patient")


def auc_loss(labels: np.ndarray, before: np.ndarray, after: np.ndarray, patients: np.ndarray) -> Estimate:
    """Return by how much the AUC of `before` exceeds that of `after`, scores of the same images, with an interval.

    It is DeLong's for paired curves (Biometrics 1988): differences of placements are summed by patient, as placements
    are in `delong_auc`, so what both have in common cancels. Where they differ without a variance, the exact bound on
    an error that so many patients don't show stands in for it; scores in the same order lose exactly 0.

    Args:
        before: (N,).
        after: (N,), or (K, N): the mean AUC of K changes counts.
    """
    labels, after = np.asarray(labels), np.atleast_2d(after)
    clusters = rarer_class(labels, patients)
    if clusters == 0:
        return undefined("one class only")
    placed = placements(labels, before)
    differences = np.mean([placed - placements(labels, scores) for scores in after], axis=0)
    if all(np.array_equal(_order(before), _order(scores)) for scores in after):
        return Estimate(0.0, 0.0, 0.0, "same order")
    loss, added = _delong(differences, labels, patients)
    loss = round(loss, 12) + 0.0  # equal areas differ by no sign
    half, method = half_by_patient(added, patients), "DeLong by patient, paired"
    if half < NOTHING:
        half, method = 1 - 0.025 ** (1 / clusters), "exact bound"
    return at_least_by_patients(Estimate(loss, max(-1.0, loss - half), min(1.0, loss + half), method), clusters, WIDE)


def _order(scores: np.ndarray) -> np.ndarray:
    return np.unique(np.asarray(scores, np.float64), return_inverse=True)[1]


def rarer_class(labels: np.ndarray, patients: np.ndarray) -> int:
    """Return how many patients have images of the class, 0 or 1, that fewer have."""
    return min(len(pd.unique(np.asarray(patients)[labels == answer])) for answer in (0, 1))


def auc_influence(placed: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return what each row adds to the AUC (N,), from its placement: 0 on average over either class."""
    return (placed - placed[labels == 1].mean()) / np.where(labels == 1, (labels == 1).sum(), (labels == 0).sum())


def _delong(placed: np.ndarray, labels: np.ndarray, patients: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean placement, and what each row adds to it as of `leveraged`."""
    return float(placed[labels == 1].mean()), leveraged(auc_influence(placed, labels), patients, labels)


def codes_of(patients: np.ndarray) -> np.ndarray:
    """Return a number from 0 on for each row (N,), the same for rows of the same patient."""
    return pd.factorize(np.asarray(patients))[0]


def wilson(hits: np.ndarray, patients: np.ndarray) -> Estimate:
    """Return the share of `hits` (bool, one an image) with Wilson's score interval; NaN where there is none to count.

    Images count for as many as they would be if independent: n / design effect, the clustered variance of the share
    over the binomial one, at least 1. It is taken at the upper side that Student's quantile allows (Korn & Graubard,
    Survey Methodology 1998), but not beyond what it would be if all images of a patient were one (Kish, Survey
    Sampling, 1965), which is what they count as below 15 patients. With one image a patient it is Wilson's own
    interval, corrected for continuity.

    Sources: Wilson, J. Am. Statistical Association 1927; Rao & Scott, Biometrics 1992; and of `score_interval`.
    """
    total = len(hits)
    if total == 0:
        return undefined("no image to count")
    share, codes = float(np.mean(hits)), codes_of(patients)
    images = np.bincount(codes)
    effect = float(images @ images) / total
    if len(images) >= SETTLED and 0 < share < 1:
        variance, freedom = spread_by_patient(leveraged((np.asarray(hits) - share) / total, codes), codes)
        found = variance * (total - 1) / (share * (1 - share)) * (student(freedom) / Z) ** 2
        effect = min(effect, max(1.0, found))
    low, high = score_interval(share, total / effect)
    return at_least_by_patients(Estimate(share, low, high, "Wilson by patient"), len(images))


def of_mean(values: np.ndarray, patients: np.ndarray, most: float = 1.0) -> Estimate:
    """Return the mean of values (N,) from 0 to `most` with its interval by patient; NaN of none."""
    if not len(values):
        return undefined("no image to count")
    mean = float(values.mean())
    spread = spread_by_patient(leveraged((values - mean) / len(values), patients), patients)
    return on_logit_scale(mean, spread, len(pd.unique(np.asarray(patients))), "jackknife by patient", (0.0, most))


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
    at_once = max(1, CELLS // len(patients))
    values = [
        metric(random.multinomial(len(names), even, size=min(at_once, resamples - done))[:, patient_of_row])
        for done in range(0, resamples, at_once)
    ]
    low, high = np.nanpercentile(np.concatenate(values), [2.5, 97.5])
    value = float(metric(np.ones((1, len(patients)), int))[0])
    return Estimate(value, float(low), float(high), f"bootstrap of patients, {resamples} resamples")

"""The threshold that turns probabilities into decisions, chosen on validation only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kmedtl.recipe.rule import parse_rule
from kmedtl.statistics.confidence import Estimate, undefined
from kmedtl.statistics.roc import steps

FEW = 0.1  # of the images


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it achieved where it was chosen.

    Attributes:
        threshold: the finding is decided from this probability on; a little above 1 where it never is.
        rule: as the recipe says it, or why none could be followed.
        sensitivity, specificity: on validation, which flatter, as the threshold was chosen there; NaN without images.
    """

    threshold: float
    rule: str
    sensitivity: float
    specificity: float


def choose(
    rule: str,
    cost_fn: float,
    cost_fp: float,
    prevalence: float | None,
    labels: np.ndarray,
    probabilities: np.ndarray,
) -> OperatingPoint:
    """Choose the threshold of one finding.

    It lies midway between two observed probabilities, so that another runtime's rounding does not flip a decision.

    - `youden`: the largest sensitivity + specificity − 1 (Youden, Cancer 1950).
    - `sensitivity>=S`: the best specificity among thresholds whose sensitivity is at least S; `specificity>=S`
      likewise.
    - `balanced`: the finding's share of `labels`: what is as good for those with it as for those without.
    - `cost`: the least expected cost, `cost_fn` · missed + `cost_fp` · false alarms, an image.

    Args:
        cost_fn, cost_fp: of a missed finding and of a false alarm; only their ratio matters.
        prevalence: where the model will be used, above 0 and below 1; None: as in `labels`.
        labels: (N,): 1, 0 or −1, unknown.
        probabilities: (N,), calibrated.

    Returns:
        Where only one answer is known, the threshold 0.5, and a `rule` that says so.
    """
    parsed, known = parse_rule(rule), np.asarray(labels) >= 0
    labels, probabilities = np.asarray(labels)[known], np.asarray(probabilities, np.float64)[known]
    positives, negatives = int((labels == 1).sum()), int((labels == 0).sum())
    if not (positives and negatives):
        return _unchosen(labels, probabilities)
    observed, found, mistaken = steps(labels, probabilities)
    sensitivity = np.append(0, found) / positives  # the first threshold is above all
    specificity = (negatives - np.append(0, mistaken)) / negatives
    share = positives / len(labels) if prevalence is None else prevalence
    cost = cost_fn * share * (1 - sensitivity) + cost_fp * (1 - share) * (1 - specificity)
    highest = -np.arange(len(sensitivity))
    wanted, second = {
        "youden": (sensitivity + specificity, highest),
        "cost": (-cost, highest),
        "balanced": (np.where(np.append(np.inf, observed) >= share, -highest, -1), highest),
        "sensitivity": (np.where(sensitivity >= parsed.least, specificity, -1), sensitivity),
        "specificity": (np.where(specificity >= parsed.least, sensitivity, -1), specificity),
    }[parsed.name]
    best = int(np.lexsort((second, wanted))[-1])
    above, below = np.append(np.nextafter(1, 2), observed)[best], np.append(observed, 0.0)[best]
    middle = (above + below) / 2
    threshold = middle if middle > below else above  # neighbouring numbers have none between them
    return OperatingPoint(float(threshold), rule, float(sensitivity[best]), float(specificity[best]))


def choose_each(
    rule: str,
    cost_fn: float,
    cost_fp: float,
    prevalence: float | None,
    targets: np.ndarray,
    probabilities: np.ndarray,
    known: Sequence[float] = (),
) -> tuple[OperatingPoint, ...]:
    """Choose a threshold for each finding of targets and probabilities (N, F); see `choose`.

    Args:
        known: thresholds that stay unless the chosen ones are better by more than chance; see `stay`.
    """
    columns = list(zip(targets.T, probabilities.T, strict=True))
    found = [choose(rule, cost_fn, cost_fp, prevalence, *column) for column in columns]
    if known:
        given = zip(known, found, columns, strict=True)
        found = [stay(one, point, cost_fn, cost_fp, prevalence, *column) for one, point, column in given]
    return tuple(found)


def stay(
    known: float,
    chosen: OperatingPoint,
    cost_fn: float,
    cost_fp: float,
    prevalence: float | None,
    labels: np.ndarray,
    probabilities: np.ndarray,
) -> OperatingPoint:
    """Return a known threshold's point, unless the chosen one gains more than one standard error by its rule.

    A threshold that few images choose jumps where probabilities hardly move, as those of a model's file do. What the
    rule asks at least, the known one must reach as well; and where both decide more than `FEW` of the images
    otherwise, probabilities have moved, and the chosen one is taken.

    Args:
        labels, probabilities: as of `choose`.
    """
    seen = labels >= 0
    ill, called = labels[seen] == 1, [probabilities[seen] >= one for one in (known, chosen.threshold)]
    if not ill.any() or ill.all() or chosen.rule == "balanced":  # which the shares choose, not single images
        return chosen
    parsed = parse_rule(chosen.rule)
    reached = {"sensitivity": called[0][ill].mean(), "specificity": 1 - called[0][~ill].mean()}
    share = ill.mean() if prevalence is None else prevalence
    found, spared = {  # what a finding counts that is found, and an image without that is spared
        "youden": (1.0, 1.0),
        "cost": (cost_fn * share, cost_fp * (1 - share)),
        "sensitivity": (0.0, 1.0),
        "specificity": (1.0, 0.0),
    }[parsed.name]
    right, better = ((one == ill).astype(float) for one in called)
    gains = (better - right) * np.where(ill, found / ill.sum(), spared / (~ill).sum())
    has_moved = np.not_equal(*called).mean() > FEW
    if has_moved or reached.get(parsed.name, 1.0) < parsed.least or gains.sum() > np.sqrt(np.square(gains).sum()):
        return chosen
    return OperatingPoint(known, chosen.rule, float(reached["sensitivity"]), float(reached["specificity"]))


def class_shares(rule: str, targets: np.ndarray) -> tuple[float, ...]:
    """Return each class's share of one-hot targets (N, C) where the rule is `balanced`; else nothing.

    A class without an image counts as if it had half of one.
    """
    if parse_rule(rule).name != "balanced":
        return ()
    counts = np.maximum((np.asarray(targets) == 1).sum(axis=0), 0.5)
    return tuple((counts / counts.sum()).tolist())


def at_prevalence(sensitivity: Estimate, specificity: Estimate, prevalence: float) -> tuple[Estimate, Estimate]:
    """Return PPV and NPV where the finding is as frequent as `prevalence`, above 0 and below 1, by Bayes.

    Both rise with sensitivity and with specificity, so each is lowest at both lower ends and highest at both upper
    ones. As the two come from different images, the interval holds the truth at least as often as 95 %. The delta
    method on the logit scale is narrower (Mercaldo, Lau & Zhou, Stat. in Medicine 2007), but has no answer where a
    test is without error.
    """
    for figure in (sensitivity, specificity):
        if np.isnan(figure.value):
            return undefined(figure.method), undefined(figure.method)
    ends = [(getattr(sensitivity, end), getattr(specificity, end)) for end in ("value", "low", "high")]
    ppv = [_posterior(prevalence * found, (1 - prevalence) * (1 - spared)) for found, spared in ends]
    npv = [_posterior((1 - prevalence) * spared, prevalence * (1 - found)) for found, spared in ends]
    return _at(ppv, prevalence), _at(npv, prevalence)


def _posterior(right: float, wrong: float) -> float:
    return right / (right + wrong) if right + wrong else float("nan")


def _at(ends: list[float], prevalence: float) -> Estimate:
    if np.isnan(ends[0]):
        return undefined("nothing is decided so")
    low, high = np.nan_to_num(ends[1], nan=0.0), np.nan_to_num(ends[2], nan=1.0)
    return Estimate(ends[0], float(low), float(high), f"Bayes at prevalence {prevalence:g}, from both ends")


def _unchosen(labels: np.ndarray, probabilities: np.ndarray) -> OperatingPoint:
    right = (probabilities >= 0.5) == (labels == 1)
    shares = [float(right[labels == answer].mean()) if (labels == answer).any() else float("nan") for answer in (1, 0)]
    return OperatingPoint(0.5, "0.5, as validation knows one answer only", *shares)

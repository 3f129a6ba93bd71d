"""Figures as counts of a hundred images, which people judge better than percentages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from kmedtl.statistics.confidence import Estimate


@dataclass(frozen=True)
class Share:
    """So many of a hundred.

    Attributes:
        count, low, high: 0–100, the 95 % interval's ends last.
    """

    count: int
    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.count} ({self.low} to {self.high})"


@dataclass(frozen=True)
class Hundred:
    """What is decided of a hundred images that have a finding, and of a hundred that do not.

    Source of the form: Gigerenzer & Hoffrage, Psychological Review 1995.

    Attributes:
        found: of those that have it; None where the test has none.
        alarms: of those that do not, called all the same; None where the test has none.
    """

    finding: str
    found: Share | None
    alarms: Share | None


def of_hundred(finding: str, estimates: Mapping[str, Estimate]) -> Hundred:
    """Return `sensitivity` and `specificity` as counts of a hundred."""
    sensitivity, specificity = estimates["sensitivity"], estimates["specificity"]
    alarms = Estimate(1 - specificity.value, 1 - specificity.high, 1 - specificity.low, specificity.method)
    return Hundred(finding, share(sensitivity), share(alarms))


def share(estimate: Estimate) -> Share | None:
    """Return a share of 0–1 as a count of a hundred, or None where it is not known."""
    if math.isnan(estimate.value):
        return None
    return Share(_count(estimate.value), math.floor(100 * estimate.low), math.ceil(100 * estimate.high))


def _count(value: float) -> int:
    """Round, but to none or all only where it is none or all: one miss in a thousand is not no miss."""
    return round(100 * value) if value in (0.0, 1.0) else min(99, max(1, round(100 * value)))

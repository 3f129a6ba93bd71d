"""The difference of two figures of different patients."""

from __future__ import annotations

import math

from kmedtl.statistics.confidence import Estimate, undefined

METHOD = "from both intervals"


def difference(after: Estimate, before: Estimate) -> Estimate:
    """Return `after` minus `before`, figures of samples that share no patient, with its 95 % interval.

    The interval follows from the two: each limit lies as far from the difference as the root of the squared distances
    to the limits that lead there, so that skew intervals stay skew (Zou & Donner, Construction of Confidence Limits
    about Effect Measures, Statistics in Medicine 2008, equation 5).
    """
    if math.isnan(after.value) or math.isnan(before.value):
        return undefined("one of them is unknown")
    value = after.value - before.value
    below = math.hypot(after.value - after.low, before.high - before.value)
    above = math.hypot(after.high - after.value, before.value - before.low)
    return Estimate(value, value - below, value + above, METHOD)

import math

import pytest

from kmedtl.statistics.confidence import Estimate, undefined
from kmedtl.statistics.difference import difference


def test_it_is_newcombes_for_two_shares():
    """56 of 70 against 48 of 80: 0.0524 to 0.3339 (Newcombe, Statistics in Medicine 1998, 17:873, method 10)."""
    found = difference(Estimate(0.8, 0.6921, 0.8768, ""), Estimate(0.6, 0.4904, 0.7006, ""))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0526, 0.3339), abs=3e-4)


def test_what_is_unknown_differs_by_nothing_known():
    assert math.isnan(difference(undefined("one class only"), Estimate(0.5, 0.4, 0.6, "")).value)

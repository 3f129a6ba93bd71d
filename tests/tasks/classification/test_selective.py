import numpy as np
import pytest

from kmedtl.tasks.classification.selective import selective_curve


def test_areas_are_those_of_a_sum_by_hand():
    # Confidence falls; the second and the last are wrong: errors 0, 1/2, 1/3, 2/4.
    confidence, wrong = np.array([0.9, 0.8, 0.7, 0.6]), np.array([False, True, False, True])
    curve = selective_curve(confidence, wrong, np.arange(4))
    assert curve.aurc == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    assert curve.excess_aurc == pytest.approx(curve.aurc - (0 + 0 + 1 / 3 + 2 / 4) / 4)
    assert curve.table["coverage"].tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.table["error"].tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])


def test_a_perfect_confidence_has_no_excess_and_a_constant_one_the_mean_error():
    wrong = np.random.default_rng(0).random(500) < 0.2
    assert selective_curve(1.0 - wrong, wrong, np.arange(500)).excess_aurc == pytest.approx(0)
    constant = selective_curve(np.full(500, 0.5), wrong, np.arange(500))
    assert constant.aurc == pytest.approx(wrong.mean())
    assert len(constant.table) == 1


def test_ties_do_not_depend_on_the_order_of_rows():
    random = np.random.default_rng(0)
    confidence, wrong, order = np.round(random.random(300), 1), random.random(300) < 0.3, random.permutation(300)
    curves = [selective_curve(confidence[rows], wrong[rows], rows) for rows in (np.arange(300), order)]
    assert curves[0].aurc == pytest.approx(curves[1].aurc)
    assert curves[0].table.to_numpy() == pytest.approx(curves[1].table.to_numpy())

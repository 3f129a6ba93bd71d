"""What validation chooses of grades: calibration, and thresholds."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from kmedtl.edge.tasks.ordinal import GRADE, cumulative, decide
from kmedtl.recipe import Evaluation
from kmedtl.tasks.ordinal.choose import best_thresholds, calibrated, fit_decoder, thresholds
from kmedtl.tasks.ordinal.figures import confusion, quadratic
from kmedtl.tasks.ordinal.question import GradeQuestion, plain
from tests.tasks.ordinal.invented import GRADES, examples_of, noisy

CUTS = len(GRADES) - 1


def kappa(above, truth, chosen):
    return float(quadratic(confusion(truth, decide(above, tuple(chosen)), above.shape[1] + 1)))


def test_no_single_threshold_can_be_bettered_by_another():
    above, truth = noisy(60, seed=1)
    chosen = best_thresholds(above, truth)
    best = kappa(above, truth, chosen)
    assert best >= kappa(above, truth, (0.5,) * CUTS)
    for cut in range(CUTS):
        for other in np.linspace(0, 1, 501):
            assert kappa(above, truth, [*chosen[:cut], other, *chosen[cut + 1 :]]) <= best + 1e-12


def test_with_one_image_a_grade_the_search_finds_the_best_of_all():
    above = np.array([[0.2, 0.1, 0.05], [0.4, 0.1, 0.1], [0.45, 0.3, 0.1], [0.9, 0.6, 0.2]])
    truth = np.arange(4)
    middles = [np.linspace(0, 1, 21)] * 3
    most = max(kappa(above, truth, chosen) for chosen in itertools.product(*middles))
    assert kappa(above, truth, best_thresholds(above, truth)) == pytest.approx(most) == 1


def test_thresholds_lie_midway_between_scores_so_that_rounding_flips_nothing():
    above, truth = noisy(80, seed=2)
    chosen = best_thresholds(above, truth)
    for column, threshold in zip(above.T, chosen, strict=True):
        scores = np.unique(np.concatenate([[0.0], column, [1.0]]))
        place = np.searchsorted(scores, threshold)
        assert threshold == pytest.approx(scores[place - 1 : place + 1].mean(), abs=1e-12)
    assert np.array_equal(decide(above, chosen), decide(above.astype(np.float32).astype(float), chosen))


def test_equal_scores_are_decided_alike_and_neighbouring_floats_apart():
    above = np.repeat([[0.7, 0.3], [0.7, 0.3], [0.7, 0.3]], 5, axis=0)
    truth = np.tile([0, 1, 2], 5)
    assert len(set(decide(above, best_thresholds(above, truth)))) == 1
    close = np.array([0.5, np.nextafter(0.5, 1)])
    chosen = best_thresholds(np.stack([close, close / 4], axis=1), np.array([0, 1]))
    assert list(decide(np.stack([close, close / 4], axis=1), chosen)) == [0, 1]


@pytest.mark.parametrize("truth", [[1], [1, 1, 1], [0, 2]])
def test_a_tiny_validation_chooses_something_that_can_be_used(truth):
    truth = np.array(truth)
    found = examples_of(truth, {GRADE: np.zeros((len(truth), CUTS), np.float32)})
    fit = fit_decoder(GradeQuestion(GRADES, "2", "corn"), Evaluation(), found, 0)
    assert all(0 <= one <= 1 for one in fit.decoder.thresholds)
    assert len(set(decide(cumulative(found.outputs, fit.decoder), fit.decoder.thresholds))) == 1


def test_a_gain_that_chance_may_explain_leaves_thresholds_at_a_half():
    left = []
    for seed in range(10):
        above, truth = noisy(40, seed)
        above /= above + (1 - above) * np.exp(0.4)  # so that ½ is right
        half, chosen, best = (
            decide(above, one)
            for one in ((0.5,) * CUTS, thresholds(above, truth, np.arange(40) // 2, 0), best_thresholds(above, truth))
        )
        assert not np.array_equal(best, half)
        left.append(np.array_equal(chosen, half))
    assert sum(left) > 6


def test_a_gain_that_many_images_show_is_taken():
    above, truth = noisy(2000, seed=4)
    assert thresholds(above**3, truth, np.arange(2000), 0) == best_thresholds(above**3, truth)


def test_of_equally_good_thresholds_the_nearest_to_a_half_is_taken():
    above = np.array([[0.1, 0.05], [0.8, 0.1], [0.9, 0.9]])
    assert best_thresholds(above, np.array([0, 1, 2])) == pytest.approx((0.45, 0.5))


@pytest.mark.parametrize("loss", ["corn", "expected_grade"])
def test_calibration_makes_claims_true(loss):
    random = np.random.default_rng(0)
    truth = random.integers(0, len(GRADES), 4000)
    found = truth[:, None] - np.arange(CUTS) - 0.5 + random.logistic(0, 1, (4000, 1))
    slopes, offsets = calibrated(found, truth, GradeQuestion(GRADES, "2", loss))
    for cut, (slope, offset) in enumerate(zip(slopes, offsets, strict=True)):
        claimed = 1 / (1 + np.exp(-(slope * found[:, cut] + offset)))
        assert claimed.mean() == pytest.approx((truth > cut).mean(), abs=1e-4)
        assert slope > 0


def test_cuts_that_say_nothing_of_calibration_keep_the_outputs_as_they_are():
    question = GradeQuestion(GRADES, "2", "expected_grade")
    truth = np.array([0, 1, 1, 0])  # the first cut separates without error, nobody passes the others
    found = truth[:, None] - np.arange(CUTS) - 0.5
    assert calibrated(found, truth, question) == (plain(question).slopes, plain(question).offsets)


def test_scores_that_point_the_wrong_way_keep_a_slope_above_zero():
    truth = np.tile([0, 1, 2, 3], 10)
    slopes, _ = calibrated(1.5 - truth[:, None] + np.zeros(CUTS), truth, GradeQuestion(GRADES, "2", "corn"))
    assert min(slopes) > 0


def test_probabilities_never_rise_from_cut_to_cut():
    question = GradeQuestion(GRADES, "2", "corn")
    crossing = replace(plain(question), slopes=(0.1, 5.0, 0.1), offsets=(-2.0, 3.0, 1.0))
    logits = np.random.default_rng(0).normal(0, 3, (50, CUTS)).astype(np.float32)
    assert np.all(np.diff(cumulative({GRADE: logits}, crossing), axis=1) <= 0)


def test_a_file_keeps_the_thresholds_of_its_model_unless_others_are_better_by_more_than_chance():
    question, jumped = GradeQuestion(GRADES, "2", "corn"), 0
    for seed in range(5):
        above, truth = noisy(60, seed)
        logits = np.log(above / (1 - above)).astype(np.float32)
        rounded = np.round(logits, 1)
        of_model = fit_decoder(question, Evaluation(), examples_of(truth, {GRADE: logits}), seed).decoder
        of_file = [
            fit_decoder(question, Evaluation(), examples_of(truth, {GRADE: rounded}), seed, known).decoder
            for known in (of_model, None, replace(of_model, thresholds=(0.98, 0.99, 0.995)))
        ]
        assert of_file[0].thresholds == of_model.thresholds
        jumped += of_file[1].thresholds != of_model.thresholds
        assert of_file[2].thresholds == of_file[1].thresholds
    assert jumped >= 4

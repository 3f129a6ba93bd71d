import numpy as np
import pytest

from kmedtl.edge.tasks.classification.calibration import sigmoid, softmax
from kmedtl.errors import UserError
from kmedtl.tasks.classification.conformal import coverage_and_size, fit_conformal, sets


def classes(seed, patients, images=3, overconfidence=3.0):
    """Probabilities of an overconfident model of three classes, the last rare and hard; images alike by patient."""
    random = np.random.default_rng(seed)
    names = np.repeat(np.arange(patients), images)
    truth = random.choice(3, patients, p=[0.5, 0.4, 0.1])[names]
    logits = (
        random.normal(0, 1, (patients, 3))[names]
        + random.normal(0, 0.5, (len(names), 3))
        + np.diag([1.5, 1.5, 0.5])[truth]
    )
    return softmax(overconfidence * logits), np.eye(3, dtype=int)[truth], names


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("stated", [0.8, 0.9])
def test_coverage_holds_on_average_and_is_not_wasted(by_class, stated):
    found = []
    for seed in range(200):
        thresholds = fit_conformal(*classes(seed, 150), stated, by_class)
        probabilities, targets, names = classes(seed + 1000, 150)
        judged = coverage_and_size(sets(probabilities, thresholds), targets, names)
        found.append([judged.coverage.value, *(estimate.value for estimate in judged.by_class)])
    whole, *each = np.nanmean(found, axis=0)
    assert stated - 0.01 <= whole <= stated + 0.04
    if by_class:
        assert min(each) >= stated - 0.015
    else:
        assert min(each) < stated - 0.01 or max(each) > stated + 0.01  # what by_class is for


def test_one_column_is_yes_or_no_and_unknown_answers_do_not_count():
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (2000, 1))
    targets = (random.random((2000, 1)) < sigmoid(logits)).astype(int)
    thresholds = fit_conformal(sigmoid(logits), targets, np.arange(2000), 0.9)
    judged = coverage_and_size(sets(sigmoid(logits), thresholds), targets, np.arange(2000))
    assert thresholds.shape == (2,)
    assert judged.coverage.value == pytest.approx(0.9, abs=0.002)
    assert 1 <= judged.size <= 2
    extended = np.append(sigmoid(logits), [[0.001]], axis=0), np.append(targets, [[-1]], axis=0)
    assert fit_conformal(*extended, np.arange(2001), 0.9) == pytest.approx(thresholds)


def test_the_quantile_is_that_of_a_count_by_hand():
    # Nine patients of one image each, scores 0.1 to 0.9: 0.8 · 10 = 8th smallest.
    truth = 1 - np.arange(1, 10) / 10
    probabilities = np.stack([truth, 1 - truth], axis=1)
    targets = np.tile([1, 0], (9, 1))
    assert fit_conformal(probabilities, targets, np.arange(9), 0.8)[0] == pytest.approx(0.8)
    # The same patients with their image ten times over are no more patients.
    repeated = [np.repeat(values, 10, axis=0) for values in (probabilities, targets, np.arange(9))]
    assert fit_conformal(*repeated, 0.8)[0] == pytest.approx(0.8)


def test_too_few_patients_promise_by_saying_everything():
    thresholds = fit_conformal(*classes(0, 3, overconfidence=1), 0.9)
    assert sets(classes(1, 20)[0], thresholds).all()


@pytest.mark.parametrize("coverage", [0, 1, 95])
def test_a_coverage_that_cannot_be_is_refused(coverage):
    with pytest.raises(UserError, match="coverage"):
        fit_conformal(*classes(0, 20), coverage)

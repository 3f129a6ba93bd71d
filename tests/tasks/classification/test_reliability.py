import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from kmedtl.edge.tasks.classification.calibration import sigmoid, softmax
from kmedtl.tasks.classification.reliability import calibration_figures, reliability

PATIENTS = np.arange(2000) // 2


def drawn(seed=0, rows=2000, overconfidence=1.0):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (rows, 1))
    targets = (random.random((rows, 1)) < sigmoid(logits)).astype(int)
    return sigmoid(overconfidence * logits), targets


def figures(probabilities, targets, kind="binary", patients=None):
    patients = np.arange(len(targets)) if patients is None else patients
    return calibration_figures(np.asarray(probabilities), np.asarray(targets), patients, kind, 500, 0)


def test_the_error_is_that_of_a_sum_by_hand():
    # Two bins: 0.1, 0.1 with one hit of two; 0.9, 0.9, 0.9 with two of three.
    probabilities = np.array([0.1, 0.1, 0.9, 0.9, 0.9])[:, None]
    targets = np.array([0, 1, 1, 1, 0])[:, None]
    expected = 2 / 5 * abs(0.5 - 0.1) + 3 / 5 * abs(2 / 3 - 0.9)
    found = figures(probabilities, targets)
    assert found["ece"].value == pytest.approx(expected)
    assert found["adaptive_ece"].value == pytest.approx(expected)  # ties stay in one bin


def test_of_several_classes_the_largest_probability_counts():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.7, 0.1, 0.2], [0.1, 0.5, 0.4]])
    targets = np.eye(3, dtype=int)[[0, 1, 1]]
    assert figures(probabilities, targets, "multi_class")["ece"].value == pytest.approx((2 * 0.2 + 0.5) / 3)


def test_proper_scores_are_scikit_learns():
    probabilities, targets = drawn()
    found = figures(probabilities, targets)
    assert found["brier"].value == pytest.approx(brier_score_loss(targets[:, 0], probabilities[:, 0]))
    assert found["nll"].value == pytest.approx(log_loss(targets[:, 0], probabilities[:, 0]))
    chances = softmax(np.random.default_rng(0).normal(size=(300, 3)))
    classes = np.random.default_rng(1).integers(0, 3, 300)
    found = figures(chances, np.eye(3, dtype=int)[classes], "multi_class")
    assert found["nll"].value == pytest.approx(log_loss(classes, chances))
    assert found["brier"].value == pytest.approx(((chances - np.eye(3)[classes]) ** 2).sum(axis=1).mean())


def test_slope_and_intercept_are_those_of_a_logistic_regression():
    probabilities, targets = drawn(overconfidence=2.0)
    found = figures(probabilities, targets)
    logit = np.log(probabilities / (1 - probabilities))
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(logit, targets[:, 0])
    assert found["calibration_slope"].value == pytest.approx(theirs.coef_[0, 0], rel=1e-3)
    assert found["calibration_slope"].low < 0.5 < found["calibration_slope"].high
    shifted = sigmoid(np.log(drawn()[0] / (1 - drawn()[0])) - 1)  # claims too little
    assert figures(shifted, targets)["calibration_intercept"].value == pytest.approx(1, abs=0.15)


@pytest.mark.slow
def test_intervals_hold_the_estimate_widen_with_clusters_and_cover():
    probabilities, targets = drawn()
    repeated = figures(np.repeat(probabilities, 3, 0), np.repeat(targets, 3, 0), patients=np.repeat(PATIENTS, 3))
    as_if_independent = figures(np.repeat(probabilities, 3, 0), np.repeat(targets, 3, 0))
    for name, estimate in repeated.items():
        assert estimate.low <= estimate.value <= estimate.high, name
        assert estimate.high - estimate.low > 1.2 * (as_if_independent[name].high - as_if_independent[name].low), name
    covered = {"calibration_slope": 0, "calibration_intercept": 0}
    for seed in range(300):
        found = figures(*drawn(seed, rows=200))
        for name, truth in (("calibration_slope", 1), ("calibration_intercept", 0)):
            covered[name] += found[name].low <= truth <= found[name].high
    assert all(0.92 <= count / 300 <= 0.99 for count in covered.values()), covered


@pytest.mark.parametrize(
    ("probabilities", "labels", "reason"),
    [
        ([0.2, 0.3, 0.7], [0, 0, 1], "separate"),
        ([0.4, 0.4, 0.4], [0, 1, 1], "equal"),
        ([0.2, 0.3, 0.7], [1, 1, 1], "one answer"),
    ],
)
def test_a_slope_that_is_not_there_says_why(probabilities, labels, reason):
    slope = figures(np.array(probabilities)[:, None], np.array(labels)[:, None])["calibration_slope"]
    assert np.isnan(slope.value)
    assert reason in slope.method


def test_one_patient_has_no_interval_and_nothing_known_no_figure():
    one = figures([[0.3], [0.6]], [[0], [1]], patients=np.array(["a", "a"]))["ece"]
    assert one.value == pytest.approx(0.35)
    assert (one.low, one.high) == (0, 1)
    assert np.isnan(figures([[0.3], [0.6]], [[-1], [-1]])["nll"].value)


def test_unknown_answers_are_left_out_and_findings_pooled():
    probabilities, targets = drawn()
    both = np.concatenate([probabilities, np.full_like(probabilities, 0.99)], axis=1)
    answers = np.concatenate([targets, np.full_like(targets, -1)], axis=1)
    pooled, alone = figures(both, answers, "multi_label"), figures(probabilities, targets)
    assert {name: one.value for name, one in pooled.items()} == pytest.approx(
        {name: one.value for name, one in alone.items()}
    )


def test_the_table_of_the_diagram_adds_up():
    probabilities, targets = drawn()
    table = reliability(probabilities, targets, PATIENTS, "binary")
    assert table["count"].sum() == 2000
    assert (table["count"] * table["observed"]).sum() == pytest.approx(targets.sum())
    assert (table["claimed"].between(table["low"], table["high"])).all()
    assert (table["observed"].between(table["observed_low"], table["observed_high"])).all()
    assert len(reliability(np.full((5, 1), 1.0), np.ones((5, 1), int), np.arange(5), "binary")) == 1

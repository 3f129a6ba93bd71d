import subprocess
import sys

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss

from kmedtl.edge.tasks.classification.calibration import probabilities, sigmoid, softmax, uncalibrated
from kmedtl.errors import UserError
from kmedtl.tasks.classification.calibration import fit
from kmedtl.tasks.classification.reliability import log_losses

ROWS = 20_000


def yes_or_no(rows=ROWS, seed=0):
    """Logits that say the truth, and answers drawn by them."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (rows, 1))
    return logits, (random.random((rows, 1)) < sigmoid(logits)).astype(int)


def several(rows=ROWS, seed=0, classes=4):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (rows, classes))
    drawn = (softmax(logits).cumsum(axis=1) > random.random((rows, 1))).argmax(axis=1)
    return logits, np.eye(classes, dtype=int)[drawn]


def nll(logits, targets, kind, calibration):
    return np.nanmean(log_losses(probabilities(logits, calibration), targets, kind))


@pytest.mark.parametrize(
    ("kind", "draw"), [("binary", yes_or_no), ("multi_class", several), ("multi_label", yes_or_no)]
)
@pytest.mark.parametrize("overconfidence", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_recovered(kind, draw, overconfidence):
    logits, targets = draw()
    scale = np.array(fit(overconfidence * logits, targets, kind, "temperature").calibration.scale)
    assert 1 / scale == pytest.approx(np.full(len(scale), overconfidence), rel=0.05)


def test_a_known_scale_and_bias_are_recovered():
    logits, targets = yes_or_no()
    platt = fit(3 * logits - 1, targets, "binary", "vector").calibration
    assert (platt.scale[0], platt.bias[0]) == pytest.approx((1 / 3, 1 / 3), abs=0.03)
    logits, targets = several()
    biases = np.array([0.5, -0.5, 1.0, -1.0])
    vector = fit(2 * (logits - biases), targets, "multi_class", "vector").calibration
    assert vector.scale == pytest.approx(np.full(4, 0.5), abs=0.03)
    assert vector.bias == pytest.approx(biases, abs=0.08)


@pytest.mark.parametrize("method", ["temperature", "vector", "isotonic", "auto"])
@pytest.mark.parametrize(("kind", "draw"), [("binary", yes_or_no), ("multi_class", several)])
def test_the_loss_on_validation_falls_and_images_keep_their_order(method, kind, draw):
    logits, targets = draw(4000, seed=1)
    logits = 2.5 * logits
    fitted = fit(logits, targets, kind, method).calibration
    assert nll(logits, targets, kind, fitted) < nll(logits, targets, kind, uncalibrated(kind, logits.shape[1]))
    if kind == "binary":
        assert (np.diff(probabilities(np.sort(logits, axis=0), fitted)[:, 0]) >= 0).all()


@pytest.mark.parametrize(
    ("kind", "draw", "distort", "chosen"),
    [
        ("binary", yes_or_no, lambda logits: logits, "none"),
        ("binary", yes_or_no, lambda logits: 3 * logits, "temperature"),
        ("binary", yes_or_no, lambda logits: 3 * logits - 2, "vector"),
        ("binary", yes_or_no, lambda logits: 2 * logits**3, "isotonic"),
        ("multi_class", several, lambda logits: 3 * logits, "temperature"),
        ("multi_class", several, lambda logits: logits + np.array([2, 0, 0, -2]), "vector"),
    ],
)
def test_auto_finds_the_simplest_that_fits(kind, draw, distort, chosen):
    logits, targets = draw(4000)
    fitted = fit(distort(logits), targets, kind, patients=np.arange(4000) // 2)
    assert fitted.calibration.method == chosen
    assert [one.method for one in fitted.candidates] == ["none", "temperature", "vector", "isotonic"]
    assert all(one.standard_error > 0 for one in fitted.candidates)


def test_isotonic_steps_are_scikit_learns():
    logits, targets = yes_or_no(2000)
    logits = np.round(logits, 1)  # ties
    knots = np.array(fit(logits, targets, "binary", "isotonic").calibration.knots[0])
    theirs = IsotonicRegression().fit(logits[:, 0], targets[:, 0]).predict(logits[:, 0])
    yes, no = targets.sum(), (1 - targets).sum()
    low, high = 1 / (no + 2), (yes + 1) / (yes + 2)  # what an answer counts as
    assert knots[:, 1] == pytest.approx(low + (high - low) * np.unique(theirs.round(12)), abs=1e-9)
    centres = [logits[theirs.round(12) == step].mean() for step in np.unique(theirs.round(12))]
    assert knots[:, 0] == pytest.approx(centres)


def test_isotonic_needs_many_of_either_answer():
    logits, targets = yes_or_no(2000)
    few = np.where(np.cumsum(targets, axis=0) > 49, 0, targets)
    for wrong in [(logits[:999], targets[:999]), (logits, few)]:
        with pytest.raises(UserError, match="isotonic"):
            fit(*wrong, "binary", "isotonic")
        assert "isotonic" not in {one.method for one in fit(*wrong, "binary").candidates}


def test_findings_are_fitted_one_by_one_and_unknown_answers_left_out():
    logits, targets = yes_or_no()
    both = np.concatenate([2 * logits, 4 * logits], axis=1)
    answers = np.concatenate([targets, targets], axis=1)
    answers[:5000, 1] = -1
    calibration = fit(both, answers, "multi_label", "temperature").calibration
    alone = fit(4 * logits[5000:], targets[5000:], "binary", "temperature").calibration
    assert calibration.scale == pytest.approx((0.5, alone.scale[0]), rel=0.05)
    assert calibration.scale[1] == pytest.approx(alone.scale[0])


@pytest.mark.parametrize("method", ["auto", "temperature", "vector"])
@pytest.mark.parametrize(
    ("logits", "labels"),
    [([-2, -1, 1, 2], [0, 0, 1, 1]), ([1, 2, 3], [1, 1, 1]), ([-1, 2, 3], [-1, 1, 1]), ([5], [1]), ([1, 2], [-1, -1])],
    ids=["separable", "one class", "one unknown", "one image", "all unknown"],
)
def test_where_validation_says_nothing_logits_stay_as_they_are(method, logits, labels):
    fitted = fit(np.array(logits, float)[:, None], np.array(labels)[:, None], "binary", method).calibration
    assert (fitted.scale, fitted.bias) == ((1.0,), (0.0,))


@pytest.mark.parametrize(("logits", "labels"), [([1, 1, 1, 1], [0, 1, 1, 1]), ([1, -1, 2], [0, 1, 1])])
@pytest.mark.parametrize("method", ["auto", "temperature", "vector"])
def test_little_data_still_gives_a_bounded_calibration(logits, labels, method):
    fitted = fit(np.array(logits, float)[:, None], np.array(labels)[:, None], "binary", method).calibration
    assert 0.05 <= fitted.scale[0] <= 4
    assert abs(fitted.bias[0]) <= 20


def test_a_class_that_validation_lacks_keeps_vector_scaling_out():
    logits, targets = several(3000)
    rows = targets[:, 3] == 0
    fitted = fit(2 * logits[rows], targets[rows], "multi_class", "vector").calibration
    assert fitted.scale == (1.0,) * 4


def test_log_losses_are_scikit_learns():
    logits, targets = several(500)
    found = softmax(logits)
    assert log_losses(found, targets, "multi_class").mean() == pytest.approx(log_loss(targets, found))
    chance = sigmoid(logits[:, :1])
    assert log_losses(chance, targets[:, :1], "binary").mean() == pytest.approx(log_loss(targets[:, 0], chance))


def test_judging_probabilities_imports_nothing_that_is_slow():
    names = "calibration, conformal, decision_curve, operating_point, reliability, selective"
    code = f"import sys; from kmedtl.tasks.classification import {names}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"scipy", "sklearn", "matplotlib", "tensorflow"} & set(found)

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from kmedtl.statistics.confidence import Estimate
from kmedtl.tasks.regression.figures import LIMITS, evaluation_of, half_width, r2, r2_gain

BIAS, SPREAD, REACH = 2.0, 5.0, 8.0  # of simulated errors, and how far their intervals go


def table_of(truth, predicted, reach=REACH):
    truth, predicted = (np.asarray(numbers, np.float64) for numbers in (truth, predicted))
    return pd.DataFrame({"truth": truth, "predicted": predicted, "low": predicted - reach, "high": predicted + reach})


def figures_of(truth, predicted, patients=None, reach=REACH):
    owners = np.arange(len(truth)) if patients is None else np.asarray(patients)
    return evaluation_of(table_of(truth, predicted, reach), owners).estimates


def drawn(random, patients, correlation=0.0, most_images=1):
    """Return patient, truth and prediction of each image; those of a patient are correlated."""
    patient = np.repeat(np.arange(patients), random.integers(1, most_images + 1, patients))

    def normal():
        own, shared = random.normal(size=len(patient)), random.normal(size=patients)[patient]
        return math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own

    truth = 60 + 12 * normal()
    return patient, truth, truth + BIAS + SPREAD * normal()


def test_figures_are_those_of_scikit_learn_and_scipy():
    _, truth, predicted = drawn(np.random.default_rng(0), 500)
    found = figures_of(truth, predicted)
    assert found["r2"].value == pytest.approx(r2_score(truth, predicted))
    assert found["mae"].value == pytest.approx(mean_absolute_error(truth, predicted))
    assert found["rmse"].value == pytest.approx(root_mean_squared_error(truth, predicted))
    error = predicted - truth
    assert found["bias"].value == pytest.approx(error.mean())
    for name, side in (("lower_limit", -1), ("upper_limit", 1)):
        assert found[name].value == pytest.approx(error.mean() + side * 1.96 * stats.tstd(error))
    assert found["coverage"].value == np.mean(np.abs(error) <= REACH)


def test_figures_of_five_images_by_hand():
    found = figures_of([1, 2, 3, 4, 5], [2, 2, 2, 4, 5], reach=0.5)
    assert found["r2"].value == pytest.approx(1 - 2 / 10)
    assert found["mae"].value == pytest.approx(2 / 5)
    assert found["rmse"].value == pytest.approx(math.sqrt(2 / 5))
    assert found["bias"].value == pytest.approx(0)
    assert found["upper_limit"].value == pytest.approx(1.96 * math.sqrt(2 / 4))
    assert found["lower_limit"].value == -found["upper_limit"].value
    assert found["coverage"].value == pytest.approx(3 / 5)


def test_intervals_of_many_independent_images_are_those_of_textbooks():
    _, truth, predicted = drawn(np.random.default_rng(1), 4000)
    error, found = predicted - truth, figures_of(truth, predicted)
    low, high = stats.t.interval(0.95, len(error) - 1, error.mean(), stats.sem(error))
    assert (found["bias"].low, found["bias"].high) == pytest.approx((low, high), abs=0.01)
    # A limit's variance is s² (1 / n + 1.96² / 2n) (Bland & Altman, Statistical Methods in Medical Research 1999).
    half = 1.96 * math.sqrt(1 + LIMITS**2 / 2) * error.std() / math.sqrt(len(error))
    for name in ("lower_limit", "upper_limit"):
        assert (found[name].high - found[name].low) / 2 == pytest.approx(half, rel=0.05)
    draws = np.random.default_rng(2).integers(0, len(truth), (400, len(truth)))
    resampled = np.quantile([r2(truth[draw], predicted[draw]) for draw in draws], [0.025, 0.975])
    assert (found["r2"].low, found["r2"].high) == pytest.approx(tuple(resampled), abs=0.003)


def test_images_of_a_patient_count_for_less_than_as_many_patients():
    _, truth, predicted = drawn(np.random.default_rng(3), 60)
    alone = figures_of(truth, predicted)
    repeated = figures_of(np.repeat(truth, 5), np.repeat(predicted, 5), np.repeat(np.arange(60), 5))
    for name, one in alone.items():
        several = repeated[name]
        assert several.value == pytest.approx(one.value, rel=0.02)
        assert several.high - several.low == pytest.approx(one.high - one.low, rel=0.1), name


@pytest.mark.parametrize("value", [0.0, 0.1, 63.7, 1e-9, 1e6])
def test_a_constant_truth_has_no_r2_and_says_so(value):
    truth = np.full(7, value)
    predicted = truth + np.linspace(-1, 1, 7)
    found = figures_of(truth, predicted)
    assert str(found["r2"]) == "– (the truth is the same in every image)"
    assert math.isnan(r2(truth, predicted))
    gain = r2_gain(truth, predicted, predicted[None], np.arange(7))
    assert str(gain) == "– (the truth is the same in every image)"
    for name in ("mae", "rmse", "bias", "lower_limit", "upper_limit", "coverage"):
        assert sound(found[name])


def sound(figure: Estimate) -> bool:
    return figure.low <= figure.value <= figure.high and math.isfinite(figure.high - figure.low)


def test_one_patient_tells_figures_but_no_interval():
    found = figures_of([1, 2, 5], [2, 2, 2], patients=["a", "a", "a"])
    for name in ("r2", "mae", "rmse", "bias", "lower_limit", "upper_limit"):
        assert math.isfinite(found[name].value)
        assert math.isnan(found[name].low)
        assert math.isnan(found[name].high)
        assert str(found[name]).endswith("(one patient only)")
    assert (found["coverage"].low, found["coverage"].high) == (0, 1)


def test_one_image_has_no_limits_of_agreement():
    found = figures_of([3], [4])
    assert found["mae"].value == found["bias"].value == 1
    for name in ("r2", "lower_limit", "upper_limit"):
        assert str(found[name]).startswith("– (")


@pytest.mark.parametrize("patients", [2, 3, 4])
def test_few_patients_have_wide_intervals(patients):
    random = np.random.default_rng(4)
    many, few = ([figures_of(*drawn(random, count)[1:]) for _ in range(30)] for count in (20, patients))
    assert all(sound(figure) for found in few for figure in found.values())
    for name in TRUE:
        widths = [np.median([found[name].high - found[name].low for found in each]) for each in (many, few)]
        assert widths[1] > 1.5 * widths[0], name


def test_no_interval_says_what_cannot_be():
    random = np.random.default_rng(5)
    for patients in (2, 3, 5, 8):
        for _ in range(20):
            _, truth, predicted = drawn(random, patients)
            found = figures_of(truth, truth + (predicted - truth) / 10)
            assert found["r2"].high <= 1
            assert found["mae"].low >= 0
            assert found["rmse"].low >= 0
            assert 0 <= found["coverage"].low <= found["coverage"].high <= 1


def test_perfect_predictions_are_perfect():
    truth = np.linspace(1, 9, 9)
    found = figures_of(truth, truth)
    assert [found[name].value for name in ("r2", "coverage")] == [1, 1]
    assert [found[name].value for name in ("mae", "rmse", "bias", "lower_limit", "upper_limit")] == [0] * 5


def test_a_gain_is_the_difference_and_pairing_narrows_it():
    patients, truth, ours = drawn(np.random.default_rng(6), 80, 0.3, 4)
    theirs = ours + np.random.default_rng(7).normal(0, 0.5, len(ours))
    gain = r2_gain(truth, ours, theirs[None], patients)
    assert gain.value == pytest.approx(r2_score(truth, ours) - r2_score(truth, theirs))
    alone = figures_of(truth, ours, patients)["r2"]
    assert gain.high - gain.low < (alone.high - alone.low) / 2


TRUE = {
    "r2": 1 - (BIAS**2 + SPREAD**2) / 12**2,
    "mae": stats.foldnorm(BIAS / SPREAD, scale=SPREAD).mean(),
    "rmse": math.hypot(BIAS, SPREAD),
    "bias": BIAS,
    "lower_limit": BIAS - 1.96 * SPREAD,
    "upper_limit": BIAS + 1.96 * SPREAD,
    "coverage": stats.norm(BIAS, SPREAD).cdf(REACH) - stats.norm(BIAS, SPREAD).cdf(-REACH),
}
"""What the figures of infinitely many images are."""


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("patients", [3, 5, 10, 20, 60])
def test_every_interval_holds_the_truth(patients, correlation):
    """As often as those of a classification: 93 % from 10 patients on and 90 % below, less three standard errors."""
    random, draws = np.random.default_rng(8), 200
    held = dict.fromkeys(TRUE, 0)
    for _ in range(draws):
        patient, truth, predicted = drawn(random, patients, correlation, 8)
        for name, figure in figures_of(truth, predicted, patient).items():
            held[name] += figure.low <= TRUE[name] <= figure.high
    least = 0.93 if patients >= 10 else 0.90
    allowed = least - 3 * math.sqrt(least * (1 - least) / draws)
    assert {name: count / draws for name, count in held.items() if count / draws < allowed} == {}


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("patients", [9, 20, 60])
def test_the_interval_of_a_prediction_holds_as_often_as_asked(patients, coverage):
    """Of exchangeable patients with one image each, split conformal prediction holds it exactly, on average."""
    random, draws = np.random.default_rng(9), 1000
    held = []
    for _ in range(draws):
        _, truth, predicted = drawn(random, patients + 1)
        half = half_width(table_of(truth[:-1], predicted[:-1]), np.arange(patients), coverage)
        held.append(abs(predicted[-1] - truth[-1]) <= half)
    margin = 3 * math.sqrt(coverage * (1 - coverage) / draws)
    assert coverage - margin <= np.mean(held) <= coverage + 1 / (patients + 1) + margin


def test_the_interval_of_a_prediction_holds_for_a_new_patient_of_many_images():
    random, draws, coverage = np.random.default_rng(10), 1000, 0.8
    held = []
    for _ in range(draws):
        patient, truth, predicted = drawn(random, 21, 0.6, 6)
        new = patient == 20
        half = half_width(table_of(truth[~new], predicted[~new]), patient[~new], coverage)
        held.append(np.mean(np.abs(predicted[new] - truth[new]) <= half))
    assert np.mean(held) >= coverage - 3 * np.std(held) / math.sqrt(draws)


def test_the_half_width_is_the_quantile_of_split_conformal_prediction():
    errors = np.arange(1.0, 20.0)  # 19 patients: the 18th of 20 for 0.9
    table = table_of(np.zeros(19), errors)
    assert half_width(table, np.arange(19), 0.9) == 18
    assert half_width(table, np.arange(19), 0.95) == 19
    assert half_width(-table, np.arange(19), 0.5) == 10


def test_a_patient_of_many_images_weighs_as_one():
    errors, patients = np.array([1.0, 2, 3, 4] + [9.0] * 50), np.array([0, 1, 2, 3] + [4] * 50)
    assert half_width(table_of(np.zeros(54), errors), patients, 0.5) == 3


@pytest.mark.parametrize("patients", [1, 2, 8])
def test_of_too_few_patients_the_half_width_is_the_largest_error(patients):
    errors = np.arange(1.0, 1 + patients)
    assert half_width(table_of(np.zeros(patients), errors), np.arange(patients), 0.95) == patients

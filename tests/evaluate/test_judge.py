import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from kmedtl.edge.predictor import probabilities
from kmedtl.evaluate.calibration import fit_temperature
from kmedtl.evaluate.metrics import judge
from kmedtl.evaluate.operating_point import youden


@pytest.fixture
def table():
    random = np.random.default_rng(5)
    labels = (random.random(400) < 0.3).astype(int)
    logits = random.normal(2 * labels - 1, 1.2)
    return pd.DataFrame(
        {
            "label": labels,
            "logit": logits,
            "probability": probabilities(logits, 1.0),
            "patient": [f"p{row // 2}" for row in range(400)],
        }
    )


def test_every_figure_has_an_interval_around_it(table):
    metrics = judge(table, 0.5, resamples=200, seed=0)
    decisions = table["probability"] >= 0.5
    assert np.array_equal(metrics.confusion, confusion_matrix(table["label"], decisions))
    assert (metrics.count, metrics.patients) == (400, 200)
    assert list(metrics.estimates) == [
        "auc", "average_precision", "accuracy", "balanced_accuracy",
        "sensitivity", "specificity", "ppv", "npv", "f1",
    ]  # fmt: skip
    for name, estimate in metrics.estimates.items():
        assert estimate.low < estimate.value < estimate.high, name


def test_youden_maximises_and_stands_between_scores(table):
    threshold = youden(table["label"].to_numpy(), table["probability"].to_numpy())
    assert threshold not in set(table["probability"])

    def index(at):
        estimates = judge(table, at, resamples=100, seed=0).estimates
        return estimates["sensitivity"].value + estimates["specificity"].value

    assert index(threshold) == pytest.approx(max(index(at) for at in table["probability"]))


def test_temperature_recovers_overconfidence():
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, 20_000)
    labels = (random.random(20_000) < probabilities(logits, 1.0)).astype(int)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.05)


def test_temperature_is_one_where_classes_separate_and_bounded_where_they_nearly_do():
    labels = np.array([0, 0, 1, 1])
    assert fit_temperature(np.array([-2.0, -1.0, 1.0, 2.0]), labels) == 1
    random = np.random.default_rng(0)
    nearly = np.append(random.normal(-3, 0.5, 500), random.normal(3, 0.5, 500))
    nearly[0] = 0.01
    assert fit_temperature(nearly, np.repeat([0, 1], 500)) >= 0.25


def test_probabilities_do_not_overflow():
    assert np.array_equal(probabilities(np.array([-1e5, 0, 1e5]), 0.1), [0, 0.5, 1])

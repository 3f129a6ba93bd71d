"""Figures of grades, and what becomes of them where the data cannot tell."""

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from kmedtl.edge.tasks.ordinal import GRADE, of_grades
from kmedtl.tasks import TASKS
from kmedtl.tasks.ordinal.figures import Graded, by_group, evaluation_of, graded, kappa_gain
from kmedtl.tasks.ordinal.question import GradeQuestion, plain
from kmedtl.tasks.ordinal.report import curves
from tests.tasks.ordinal.invented import GRADES, examples_of, noisy

ROW = TASKS["ordinal"]
QUESTION = GradeQuestion(GRADES, "2", "corn")
FIGURES = {"kappa", "mae", "off_by_two", "accuracy", "referable_auc", "referable_sensitivity", "referable_specificity"}


def judged(truth, decided, above=None):
    truth, decided = np.asarray(truth), np.asarray(decided)
    given = np.full((len(truth), len(GRADES) - 1), np.nan) if above is None else above
    return Graded(GRADES, 2, truth, decided, given, np.arange(len(truth)) // 2)


def test_figures_are_those_of_the_definitions():
    above, truth = noisy(120, seed=0)
    decided = (above > 0.5).sum(axis=1)
    found = evaluation_of(judged(truth, decided, above))
    values = {name: one.value for name, one in found.estimates.items()}
    distance = np.abs(truth - decided)
    assert set(values) == FIGURES
    assert values["kappa"] == pytest.approx(cohen_kappa_score(truth, decided, weights="quadratic"))
    assert values["mae"] == pytest.approx(distance.mean())
    assert values["off_by_two"] == pytest.approx((distance >= 2).mean())
    assert values["accuracy"] == pytest.approx((distance == 0).mean())
    assert values["referable_auc"] == pytest.approx(roc_auc_score(truth >= 2, above[:, 1]))
    assert values["referable_sensitivity"] == pytest.approx((decided[truth >= 2] >= 2).mean())
    assert values["referable_specificity"] == pytest.approx((decided[truth < 2] < 2).mean())
    assert found.tables["confusion"].to_numpy().sum() == 120
    assert found.tables["confusion"].loc["3", "2"] == ((truth == 3) & (decided == 2)).sum()


@pytest.mark.parametrize(
    ("truth", "decided", "reasons"),
    [
        ([1] * 8, [0, 1, 2, 3] * 2, {"kappa": "one grade", "referable_auc": "no image from grade 2 on"}),
        ([1] * 8, [1] * 8, {"kappa": "one grade", "referable_sensitivity": "no image from grade 2 on"}),
        ([3] * 8, [3] * 8, {"kappa": "one grade", "referable_specificity": "no image below grade 2"}),
        ([0, 1, 2, 3] * 2, [2] * 8, {}),
        ([2], [1], {"kappa": "one grade"}),
    ],
)
def test_what_the_data_cannot_tell_has_a_reason(truth, decided, reasons):
    above = np.where(np.asarray(decided)[:, None] > np.arange(3), 0.8, 0.2)
    found = evaluation_of(judged(truth, decided, above))
    for name, one in found.estimates.items():
        assert one.low <= one.value <= one.high or (math.isnan(one.value) and one.method), name
    for name, reason in reasons.items():
        assert math.isnan(found.estimates[name].value)
        assert reason in found.estimates[name].method
    if not reasons:  # all decided alike agrees with the truth no better than chance
        assert found.estimates["kappa"].value == 0
        assert found.estimates["kappa"].high > 0.2
    assert all(len(picture.words) > 20 for picture in curves(found).values())


def test_without_probabilities_there_is_no_auc():
    found = evaluation_of(judged([0, 1, 2, 3], [0, 1, 3, 3]))
    assert set(found.estimates) == FIGURES - {"referable_auc"}
    assert set(curves(found)) == {"confusion"}


def test_groups_have_figures_of_their_own():
    above, truth = noisy(80, seed=3)
    logits = np.log(above / (1 - above)).astype(np.float32)
    examples = examples_of(truth, {GRADE: logits})
    found = graded(examples, plain(QUESTION))
    parts = by_group(found, examples.groups, ["sex"])
    assert set(parts) == {"sex F", "sex M"}
    women = np.flatnonzero(examples.groups["sex"] == "F")
    assert parts["sex F"]["mae"].value == pytest.approx(np.abs(found.truth - found.decided)[women].mean())


def test_a_gain_is_the_difference_of_the_kappas():
    _, truth = noisy(200, seed=4)
    random = np.random.default_rng(5)
    ours, *theirs = (np.clip(truth + random.integers(-most, most + 1, 200), 0, 3) for most in (1, 2, 3))
    gain = kappa_gain(truth, ours, theirs, 4, np.arange(200) // 2)
    first, *others = (cohen_kappa_score(truth, one, weights="quadratic") for one in (ours, *theirs))
    assert gain.value == pytest.approx(first - np.mean(others))
    assert 0 < gain.low < gain.value < gain.high
    assert "bootstrap of patients" in gain.method


def test_a_gain_without_a_truth_to_tell_or_patients_to_count_says_so():
    one, other = np.array([1, 2, 1, 1]), np.array([1, 1, 1, 1])
    assert "one grade" in kappa_gain(np.ones(4, int), one, [other], 4, np.arange(4)).method
    alone = kappa_gain(np.array([0, 2, 1, 3]), one, [other], 4, np.zeros(4))
    assert (alone.low, alone.high) == (-1, 1)


def test_drift_counts_grades_that_changed():
    above, truth = noisy(40, seed=6)
    logits = np.log(above / (1 - above)).astype(np.float32)
    before, decoder = examples_of(truth, {GRADE: logits}), plain(QUESTION)
    after = {GRADE: np.where(np.arange(40)[:, None] < 10, -9, logits).astype(np.float32)}
    found = ROW.drift(QUESTION, before, decoder, after, decoder)
    changed = graded(before, decoder).decided[:10] != 0
    assert found.figures["flips"] == pytest.approx(changed.sum() / 40)
    assert found.figures["max_difference"] > 0.5


def test_probabilities_of_grades_are_differences():
    assert of_grades(np.array([[0.9, 0.6, 0.1]])) == pytest.approx(np.array([[0.1, 0.3, 0.5, 0.1]]))

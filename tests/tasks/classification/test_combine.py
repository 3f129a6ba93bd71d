import numpy as np
import pytest

from kmedtl.edge.tasks.classification.calibration import sigmoid, softmax
from kmedtl.tasks.classification.combine import (
    METHODS,
    Combination,
    combine,
    fit,
    log_odds,
    member_predictions,
    out_of_fold,
)

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.integers(0, 2, (400, 1))


def said(*logits, kind="binary"):
    squash = softmax if kind == "multi_class" else sigmoid
    return member_predictions(
        [squash(np.asarray(one)) for one in logits], [(0.5,) * logits[0].shape[1]] * len(logits), kind
    )


def noisy(skill, truth=TRUTH):
    return skill * (2 * truth - 1) + RANDOM.normal(size=truth.shape)


def test_the_mean_is_of_probabilities_and_the_vote_of_decisions():
    probabilities = np.array([[[0.9], [0.2]], [[0.4], [0.4]], [[0.8], [0.6]]])
    three = member_predictions(list(probabilities), [(0.5,), (0.3,), (0.5,)], "binary")
    mean = sigmoid(combine(Combination("mean", (1 / 3,) * 3), three))
    assert mean[:, 0] == pytest.approx([0.7, 0.4])
    votes = sigmoid(combine(Combination("vote", (1 / 3,) * 3), three))
    assert votes[:, 0] == pytest.approx([3.5 / 4, 2.5 / 4])  # each at its own operating point


def test_of_several_classes_the_most_probable_gets_the_vote():
    logits = [np.array([[3.0, 0, 0]]), np.array([[2.0, 1, 0]]), np.array([[0, 0, 5.0]])]
    votes = softmax(combine(Combination("vote", (1 / 3,) * 3), said(*logits, kind="multi_class")))
    assert votes[0] == pytest.approx(np.array([2 + 1 / 3, 1 / 3, 1 + 1 / 3]) / 4)


@pytest.mark.parametrize("method", ["weighted", "stack"])
def test_validation_finds_out_who_is_worth_listening_to(method):
    weights = fit(method, said(noisy(1.5), noisy(0.0), noisy(1.5)), TRUTH).weights
    assert min(weights) >= 0
    assert weights[1] < 0.1 < 0.3 < min(weights[0], weights[2])
    if method == "weighted":
        assert sum(weights) == pytest.approx(1)


def test_the_weights_are_the_likeliest_there_are():
    members = said(noisy(1.5), noisy(0.5))

    def likelihood(share):
        found = share * members.probabilities[0] + (1 - share) * members.probabilities[1]
        return np.log(np.where(TRUTH == 1, found, 1 - found)).sum()

    found = fit("weighted", members, TRUTH).weights[0]
    assert likelihood(found) >= max(map(likelihood, np.linspace(0, 1, 201))) - 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_chosen_where_one_answer_only_is_known(method):
    assert fit(method, said(noisy(1), noisy(0)), np.zeros((400, 1))).weights == (0.5, 0.5)


@pytest.mark.parametrize("method", ["weighted", "stack"])
def test_unknown_answers_choose_nothing(method):
    truth = RANDOM.integers(0, 2, (300, 2))
    members, hidden = said(noisy(1.5, truth), noisy(0.2, truth), kind="multi_label"), truth.copy()
    hidden[::2, 1] = -1
    changed = np.where(hidden < 0, 1 - members.probabilities[0], members.probabilities[0])
    other = member_predictions([changed, members.probabilities[1]], [(0.5, 0.5)] * 2, "multi_label")
    assert fit(method, members, hidden).weights == pytest.approx(fit(method, other, hidden).weights)


@pytest.mark.parametrize("method", METHODS)
def test_a_held_out_logit_knows_nothing_of_its_own_patient(method):
    members, patients = said(noisy(1), noisy(1), noisy(0)), np.repeat(np.arange(100), 4)
    before = out_of_fold(method, members, TRUTH, patients, seed=0)
    turned = TRUTH.copy()
    turned[patients == 7] = 1 - turned[patients == 7]
    after = out_of_fold(method, members, turned, patients, seed=0)
    assert np.array_equal(before[patients == 7], after[patients == 7])
    chosen = method in ("weighted", "stack")
    assert np.array_equal(before, after) != chosen


def test_log_odds_undo_probabilities_and_stay_finite_at_the_ends():
    logits = np.array([[-20.0], [0.3], [11.0]])
    assert log_odds(sigmoid(logits), "binary", 1e-9) == pytest.approx(logits, rel=1e-4)
    assert np.isfinite(log_odds(np.array([[0.0], [1.0]]), "binary", 1e-9)).all()

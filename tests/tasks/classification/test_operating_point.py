import numpy as np
import pytest

from kmedtl.errors import UserError
from kmedtl.recipe.rule import Rule, parse_rule
from kmedtl.statistics.confidence import Estimate, wilson
from kmedtl.tasks.classification.operating_point import (
    at_prevalence,
    choose,
    choose_each,
    class_shares,
)


def drawn(seed, ties):
    random = np.random.default_rng(seed)
    labels = np.append([0, 1], random.random(100) < 0.3).astype(int)
    probabilities = 1 / (1 + np.exp(-random.normal(1.5 * labels - 1)))
    return labels, np.round(probabilities, 1) if ties else probabilities


def shares(labels, probabilities, threshold):
    decided = probabilities >= threshold
    return decided[labels == 1].mean(), (~decided[labels == 0]).mean()


THRESHOLDS = np.append(np.arange(0, 1.00001, 0.001), 1.1)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rule", ["youden", "sensitivity>=0.95", "specificity >= .9", "specificity>=1", "cost"])
def test_each_rule_keeps_its_promise_and_none_does_better(rule, seed, ties):
    labels, probabilities = drawn(seed, ties)
    point = choose(rule, 5, 1, 0.1, labels, probabilities)
    assert (point.sensitivity, point.specificity) == shares(labels, probabilities, point.threshold)
    assert point.threshold not in probabilities or point.threshold in (0, 1)
    parsed = parse_rule(rule)

    def worth(sensitivity, specificity):
        if parsed.name == "sensitivity":
            return specificity if sensitivity >= parsed.least else -1
        if parsed.name == "specificity":
            return sensitivity if specificity >= parsed.least else -1
        if parsed.name == "cost":
            return -(5 * 0.1 * (1 - sensitivity) + 0.9 * (1 - specificity))
        return sensitivity + specificity

    best = max(worth(*shares(labels, probabilities, at)) for at in THRESHOLDS)
    assert worth(point.sensitivity, point.specificity) >= best - 1e-12


def test_costs_move_the_threshold():
    labels, probabilities = drawn(0, ties=False)
    dear_miss, dear_alarm = (choose("cost", *costs, None, labels, probabilities) for costs in [(20, 1), (1, 20)])
    assert dear_miss.threshold < dear_alarm.threshold
    rare = choose("cost", 1, 1, 0.01, labels, probabilities)
    assert rare.specificity > choose("cost", 1, 1, 0.5, labels, probabilities).specificity


@pytest.mark.parametrize(
    ("labels", "probabilities", "rule", "threshold", "decided"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9], "youden", 0.4, 2),  # separable: midway
        ([0, 1, 1, 0], [0.5] * 4, "sensitivity>=0.95", 0.25, 4),  # constant: all
        ([0, 1, 1, 0], [0.5] * 4, "specificity>=0.9", 0.75, 0),  # constant: none
        ([0, 1], [1.0, 1.0], "specificity>=0.9", 1.0, 0),  # none although certain
        ([0, 1], [0.0, 0.0], "sensitivity>=0.95", 0.0, 2),  # all although impossible
        ([0, 1], [0.5, np.nextafter(0.5, 1)], "youden", 0.5, 1),  # no number between
    ],
)
def test_edges(labels, probabilities, rule, threshold, decided):
    found = choose(rule, 1, 1, None, np.array(labels), np.array(probabilities)).threshold
    assert found == pytest.approx(threshold, abs=1e-12)
    assert (np.array(probabilities) >= found).sum() == decided


def test_one_answer_only_is_said():
    point = choose("youden", 1, 1, None, np.array([1, 1, -1]), np.array([0.2, 0.9, 0.9]))
    assert point.threshold == 0.5
    assert "one answer only" in point.rule
    assert point.sensitivity == 0.5
    assert np.isnan(point.specificity)


def test_each_finding_has_its_own_threshold_and_unknown_answers_do_not_count():
    first, second = drawn(0, False), drawn(1, False)
    targets, probabilities = (np.stack(pair, axis=1) for pair in zip(first, second, strict=True))
    unknown = np.append(targets, [[-1, -1]], axis=0), np.append(probabilities, [[0.99, 0.01]], axis=0)
    points = choose_each("youden", 1, 1, None, *unknown)
    expected = [choose("youden", 1, 1, None, *one) for one in (first, second)]
    assert [point.threshold for point in points] == [point.threshold for point in expected]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("youden", Rule("youden")),
        ("cost", Rule("cost")),
        ("sensitivity>=0.95", Rule("sensitivity", 0.95)),
        ("specificity >= 1", Rule("specificity", 1.0)),
    ],
)
def test_rules_are_read(text, rule):
    assert parse_rule(text) == rule


@pytest.mark.parametrize("text", ["", "youdn", "sensitivity>0.9", "sensitivity>=1.2", "specificity>=0.0", "ppv>=0.9"])
def test_other_rules_are_refused(text):
    with pytest.raises(UserError, match=r"evaluation\.operating_point: expected youden"):
        parse_rule(text)


def test_bayes_at_a_prevalence_is_the_textbooks():
    # Altman & Bland, BMJ 1994;309:102: sensitivity 231/258, specificity 54/86; 0.75 prevalence: PPV 0.88, NPV 0.66.
    sensitivity = wilson(np.arange(258) < 231, np.arange(258))
    specificity = wilson(np.arange(86) < 54, np.arange(86))
    ppv, npv = at_prevalence(sensitivity, specificity, 258 / 344)
    assert (ppv.value, npv.value) == pytest.approx((231 / 263, 54 / 81))
    assert ppv.low < ppv.value < ppv.high
    rare = at_prevalence(sensitivity, specificity, 0.01)[0]
    assert rare.value == pytest.approx(0.0239, abs=1e-3)


def test_predictive_values_cover_and_edges_are_defined():
    random, covered = np.random.default_rng(0), 0
    for _ in range(400):
        sensitivity = wilson(random.random(80) < 0.8, np.arange(80))
        specificity = wilson(random.random(120) < 0.9, np.arange(120))
        ppv = at_prevalence(sensitivity, specificity, 0.2)[0]
        covered += ppv.low <= 0.2 * 0.8 / (0.2 * 0.8 + 0.8 * 0.1) <= ppv.high
    assert covered / 400 >= 0.95
    perfect, none = Estimate(1, 0.8, 1, ""), Estimate(0, 0, 0.2, "")
    assert at_prevalence(perfect, perfect, 0.1)[0].value == 1
    assert np.isnan(at_prevalence(none, perfect, 0.1)[0].value)


@pytest.mark.parametrize("prevalence", [None, 0.1])
def test_balanced_calls_a_finding_that_is_likelier_than_it_is_frequent(prevalence):
    labels, probabilities = drawn(3, False)
    share = labels.mean() if prevalence is None else prevalence
    point = choose("balanced", 5, 1, prevalence, labels, probabilities)
    assert np.array_equal(probabilities >= point.threshold, probabilities >= share)


def test_balanced_weighs_classes_by_their_shares():
    targets = np.eye(3)[[0, 0, 0, 1]]
    assert class_shares("youden", targets) == ()
    assert class_shares("balanced", targets) == pytest.approx((3 / 4.5, 1 / 4.5, 0.5 / 4.5))


RULES = ("youden", "cost", "sensitivity>=0.8", "specificity>=0.8")


def judged(rule, known, labels, likely):
    (point,) = choose_each(rule, 1, 1, None, labels[:, None], likely[:, None], () if known is None else (known,))
    return point


@pytest.mark.parametrize("rule", RULES)
def test_a_known_threshold_stays_where_it_is_as_good(rule):
    """Probabilities that move by a thousandth, as those of a model's file do, move no threshold."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 200)
    likely = np.clip(random.normal(0.3 + 0.4 * labels, 0.13), 0.01, 0.99)
    known = judged(rule, None, labels, likely).threshold
    for seed in range(20):
        moved = likely + np.random.default_rng(seed).normal(0, 0.001, len(likely))
        point, chosen = judged(rule, known, labels, moved), judged(rule, None, labels, moved)
        if point.threshold != known:  # what the rule asks at least is no longer reached
            assert rule.endswith("0.8")
            assert point == chosen
        called = moved >= point.threshold
        assert point.sensitivity == pytest.approx(called[labels == 1].mean())
        assert point.specificity == pytest.approx((~called[labels == 0]).mean())
        assert point.rule == rule


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shift", [-0.3, 0.3])
def test_a_known_threshold_goes_where_another_is_better(rule, shift):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 400)
    likely = np.clip(random.normal(0.35 + 0.3 * labels, 0.1), 0.01, 0.99)
    known = judged(rule, None, labels, likely).threshold
    assert judged(rule, known, labels, likely + shift) == judged(rule, None, labels, likely + shift)


def test_no_threshold_stays_where_no_image_chooses_it():
    labels, likely = np.arange(40) % 3 == 0, np.linspace(0, 1, 40)
    assert judged("balanced", 0.9, labels.astype(int), likely) == judged("balanced", None, labels.astype(int), likely)
    ones = np.ones(5, int)
    assert judged("youden", 0.7, ones, np.linspace(0, 1, 5)).threshold == 0.5

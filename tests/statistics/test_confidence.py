import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student_t
from sklearn.metrics import roc_auc_score

from kmedtl.statistics.confidence import (
    Estimate,
    auc_influence,
    auc_loss,
    bootstrap,
    delong_auc,
    leveraged,
    spread_by_patient,
    student,
    wilson,
)
from kmedtl.statistics.ranking import placements


def scores(count, seed, shift=1.0, ties=False):
    random = np.random.default_rng(seed)
    labels = (random.random(count) < 0.4).astype(int)
    values = random.normal(labels * shift)
    return labels, np.round(values, 1) if ties else values


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_scikit_learns(ties):
    labels, values = scores(300, seed=1, ties=ties)
    assert delong_auc(labels, values, np.arange(300)).value == pytest.approx(roc_auc_score(labels, values), abs=1e-12)


def test_delong_covers_the_true_auc():
    truth = norm.cdf(1 / np.sqrt(2))
    covered = 0
    for seed in range(400):
        estimate = delong_auc(*scores(120, seed), np.arange(120))
        covered += estimate.low <= truth <= estimate.high
    assert 0.92 <= covered / 400 <= 0.98


def test_a_perfect_separation_still_has_an_interval():
    estimate = delong_auc(np.array([0] * 20 + [1] * 10), np.arange(30), np.arange(30))
    assert estimate.value == 1
    assert estimate.low == pytest.approx(0.025**0.1)  # Clopper and Pearson's, of the 10 patients of the rarer class
    assert estimate.high == 1


def test_constant_scores_are_no_certainty():
    estimate = delong_auc(np.array([0] * 20 + [1] * 10), np.zeros(30), np.arange(30))
    assert estimate.value == 0.5
    assert estimate.low < 0.3
    assert estimate.high > 0.7


def test_a_paired_loss_is_the_difference_and_covers_the_truth():
    covered = 0
    for seed in range(300):
        labels, before = scores(120, seed, shift=2.0)
        after = before + np.random.default_rng(seed).normal(0, 1, 120)  # the same images, noisier
        loss = auc_loss(labels, before, after, np.arange(120))
        assert loss.value == pytest.approx(roc_auc_score(labels, before) - roc_auc_score(labels, after))
        covered += loss.low <= norm.cdf(2 / np.sqrt(2)) - norm.cdf(2 / np.sqrt(4)) <= loss.high
    assert 0.91 <= covered / 300 <= 0.98


def test_a_paired_loss_is_surer_than_two_areas_and_grows_with_clusters():
    labels, before, names = clustered(0)
    after = before + np.random.default_rng(0).normal(0, 0.3, len(before))
    loss = auc_loss(labels, before, after, names)
    alone = delong_auc(labels, before, names)
    assert loss.high - loss.low < alone.high - alone.low
    assert auc_loss(labels, before, np.stack([after, before]), names).value == pytest.approx(loss.value / 2)


def test_scores_in_the_same_order_lose_nothing():
    labels, before = scores(60, 0)
    loss = auc_loss(labels, before, 2 * before + 1, np.arange(60))
    assert (loss.value, loss.low, loss.high) == (0, 0, 0)
    perfect, also = labels + before / 100, labels - before / 100
    loss = auc_loss(labels, perfect, also, np.arange(60))
    assert loss.low < loss.value == 0 < loss.high


def clustered(seed, patients=60):
    """Three nearly equal images a patient; the patients are what is independent."""
    random = np.random.default_rng(seed)
    labels = (random.random(patients) < 0.4).astype(int)
    values = random.normal(labels)
    names = np.repeat(np.arange(patients), 3)
    return labels[names], values[names] + random.normal(0, 0.1, 3 * patients), names


def test_intervals_by_patient_cover_the_truth_where_images_repeat():
    truth, hit = norm.cdf(1 / np.sqrt(2)), norm.cdf(0.5)
    covered = covered_share = naive = 0
    for seed in range(400):
        labels, values, names = clustered(seed)
        estimate = delong_auc(labels, values, names)
        covered += estimate.low <= truth <= estimate.high
        wrong = delong_auc(labels, values, np.arange(len(labels)))
        naive += wrong.low <= truth <= wrong.high
        right = (values >= 0.5) == (labels == 1)
        share = wilson(right, names)
        covered_share += share.low <= hit <= share.high
    assert 0.92 <= covered / 400 <= 0.99
    assert 0.92 <= covered_share / 400 <= 0.99
    assert naive / 400 < 0.85


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    # Newcombe, Statistics in Medicine 1998, table I, method 4; of none method 5, Clopper and Pearson's.
    [(81, 263, 0.2535, 0.3682), (15, 148, 0.0598, 0.1644), (0, 20, 0.0, 0.1684), (1, 29, 0.0018, 0.1963)],
)
def test_wilson_matches_the_published_examples(successes, total, low, high):
    estimate = wilson(np.arange(total) < successes, np.arange(total))
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5e-5)


def test_nothing_to_count_is_not_a_number():
    estimate = wilson(np.array([], bool), np.array([], int))
    assert np.isnan(estimate.value)
    assert np.isnan([estimate.low, estimate.high]).all()


def test_auc_and_its_error_are_those_of_the_textbook():
    # Hanley & McNeil, Radiology 1982, table I: 58 normal and 51 abnormal CT images, rated 1 to 5. By DeLong's method
    # the standard error is 0.0307 (Stata's manual, roctab).
    normal, abnormal = np.repeat(range(5), [33, 6, 6, 11, 2]), np.repeat(range(5), [3, 2, 2, 11, 33])
    labels, values = np.repeat([0, 1], [58, 51]), np.concatenate([normal, abnormal])
    estimate = delong_auc(labels, values, np.arange(109))
    assert estimate.value == pytest.approx(0.8932, abs=5e-5)
    added = leveraged(auc_influence(placements(labels, values), labels), np.arange(109), labels)
    variance, freedom = spread_by_patient(added, np.arange(109))
    assert np.sqrt(variance) == pytest.approx(0.0307, abs=5e-5)
    ends = np.log([estimate.low / (1 - estimate.low), estimate.high / (1 - estimate.high)])
    one_more = estimate.value * (1 - estimate.value) / 51**2
    error = np.diff(ends)[0] / 2 / student(freedom) * estimate.value * (1 - estimate.value)
    assert error == pytest.approx(np.sqrt(variance + one_more))


@pytest.mark.parametrize("freedom", [1, 1.1, 1.6, 2, 2.6, 4.4, 7, 12, 23, 60, 1e6])
def test_students_quantile(freedom):
    assert student(freedom) == pytest.approx(student_t.ppf(0.975, freedom), rel=0.01)


def test_one_class_only_has_no_area():
    estimate = delong_auc(np.ones(5, int), np.arange(5), np.arange(5))
    assert np.isnan([estimate.value, estimate.low, estimate.high]).all()
    assert str(estimate) == "– (one class only)"
    assert np.isnan(auc_loss(np.zeros(5, int), np.arange(5), np.arange(5), np.arange(5)).value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9994, "0.999"),
        (0.9996, "0.9996"),
        (0.99996, "0.99996"),
        (0.9999999, "0.99999"),
        (1.0, "1.000"),
        (1 - 1e-15, "1.000"),
    ],
)
def test_a_figure_below_1_never_reads_1(value, text):
    assert str(Estimate(value, 0.9, value, "DeLong")) == f"{text} (0.900–{text})"


def test_the_bootstrap_draws_patients_not_rows():
    values = np.repeat(np.random.default_rng(0).normal(size=50), 20)
    patients = np.repeat(np.arange(50), 20)

    def mean(weights):
        return (weights @ values) / weights.sum(axis=1)

    clustered = bootstrap(mean, patients, 2000, seed=1)
    independent = bootstrap(mean, np.arange(1000), 2000, seed=1)
    assert clustered.high - clustered.low > 3 * (independent.high - independent.low)
    assert clustered.low < values.mean() < clustered.high
    assert bootstrap(mean, patients, 2000, seed=1) == clustered

import numpy as np
import pytest

from kmedtl.tasks.classification.decision_curve import decision_curve


def drawn(seed=0, rows=500):
    random = np.random.default_rng(seed)
    probabilities = random.beta(0.5, 1, rows)
    return (random.random(rows) < probabilities).astype(int), probabilities


def test_net_benefit_is_vickers_formula():
    labels, probabilities = drawn()
    table = decision_curve(labels, probabilities, np.arange(500), thresholds=np.array([0.1, 0.25, 0.5]))
    for row in table.itertuples():
        decided = probabilities >= row.threshold
        true, false = (decided & (labels == 1)).sum(), (decided & (labels == 0)).sum()
        odds = row.threshold / (1 - row.threshold)
        assert row.model == pytest.approx(true / 500 - false / 500 * odds)
        assert row.treat_all == pytest.approx(labels.mean() - (1 - labels.mean()) * odds)
        assert row.model_low < row.model < row.model_high
    assert (table["treat_none"] == 0).all()


def test_at_another_prevalence_it_is_that_of_images_drawn_so():
    labels, probabilities = drawn()
    share = 3 * (labels == 1).sum() / (3 * (labels == 1).sum() + (labels == 0).sum())
    repeated = np.repeat(np.arange(500), np.where(labels == 1, 3, 1))
    moved = decision_curve(labels, probabilities, np.arange(500), prevalence=share)
    counted = decision_curve(labels[repeated], probabilities[repeated], repeated)
    assert moved["model"].to_numpy() == pytest.approx(counted["model"].to_numpy())
    assert moved["treat_all"].to_numpy() == pytest.approx(counted["treat_all"].to_numpy())


def test_the_interval_covers_and_unknown_answers_do_not_count():
    truth = decision_curve(*drawn(1, 200_000), np.arange(200_000), thresholds=np.array([0.3]))["model"][0]
    covered = 0
    for seed in range(300):
        row = decision_curve(*drawn(seed + 10, 200), np.arange(200), thresholds=np.array([0.3])).iloc[0]
        covered += row["model_low"] <= truth <= row["model_high"]
    assert 0.92 <= covered / 300 <= 0.98
    labels, probabilities = drawn()
    extended = np.append(labels, -1), np.append(probabilities, 0.9)
    alone, beside = (decision_curve(*rows, np.arange(len(rows[0]))) for rows in [(labels, probabilities), extended])
    assert alone.equals(beside)

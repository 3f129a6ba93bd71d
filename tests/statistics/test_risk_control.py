import numpy as np
import pytest

from kmedtl.statistics.risk_control import controlled_threshold, fewest_patients

THRESHOLDS = 100


def drawn(random, patients):
    """Losses of patients who differ in where theirs begin and how fast they rise."""
    start, reach = random.beta(2, 2, (patients, 1)), random.uniform(0.05, 0.6, (patients, 1))
    return np.clip((np.linspace(0, 1, THRESHOLDS) - start) / reach, 0, 1)


def test_the_threshold_of_a_few_losses_by_hand():
    losses = np.array([[0.0, 0.1, 0.5], [0.0, 0.1, 0.5], [0.0, 0.1, 0.5]])
    assert controlled_threshold(losses, 0.25) == 0  # (0 + 1) / 4
    assert controlled_threshold(losses, 0.325) == 1  # (0.3 + 1) / 4
    assert controlled_threshold(losses, 0.63) == 2  # (1.5 + 1) / 4
    assert controlled_threshold(losses, 0.24) is None


def test_too_few_patients_promise_nothing():
    assert controlled_threshold(np.zeros((8, 5)), 0.1) is None
    assert controlled_threshold(np.zeros((9, 5)), 0.1) == 4
    assert controlled_threshold(np.zeros((0, 5)), 0.1) is None
    for alpha in (0.02, 0.05, 0.1, 0.3, 0.5):
        fewest = fewest_patients(alpha)
        assert controlled_threshold(np.zeros((fewest, 5)), alpha) == 4
        assert controlled_threshold(np.zeros((fewest - 1, 5)), alpha) is None


@pytest.mark.parametrize("patients", [20, 60, 200])
@pytest.mark.parametrize("alpha", [0.1, 0.25])
def test_further_patients_lose_as_much_as_promised_and_no_more(patients, alpha):
    random = np.random.default_rng(0)
    lost = []
    for _ in range(2000):
        losses = drawn(random, patients + 20)
        lost.append(losses[patients:, controlled_threshold(losses[:patients], alpha)].mean())
    error = np.std(lost) / np.sqrt(len(lost))
    assert np.mean(lost) <= alpha + 3 * error
    # No further below than the weight of one patient, twice, and a step of the grid (Angelopoulos et al., theorem 2).
    assert np.mean(lost) >= alpha - 2 / (patients + 1) - 0.02

"""The largest threshold at which an expected loss is promised to stay below a bound, whatever the model is."""

from __future__ import annotations

import math

import numpy as np


def fewest_patients(alpha: float) -> int:
    """Return how many patients `controlled_threshold` needs at least: as many as keep `alpha` where none loses."""
    return math.ceil(1 / alpha) - 1


def controlled_threshold(losses: np.ndarray, alpha: float) -> int | None:
    """Return the index of the largest threshold at which a further patient's expected loss is `alpha` at most.

    It is the largest with n / (n + 1) · mean + 1 / (n + 1) ≤ `alpha`, the mean being over n patients: as if one more
    had come who lost all. The promise holds on average over draws of these patients and the further one, who must be
    of the same kind (exchangeable); it is none for one patient, nor for a kind that these are few of.

    Args:
        losses: of each patient at each threshold, in order, (patients, thresholds), 0–1; a patient's don't decrease.
        alpha: 0–1.

    Returns:
        None where no threshold keeps it, as where there are fewer than `fewest_patients`.

    Source: Angelopoulos et al., Conformal Risk Control, ICLR 2024, section 2, theorem 1.
    """
    bound = (losses.sum(axis=0) + 1) / (len(losses) + 1)
    kept = np.flatnonzero(bound <= alpha)
    return int(kept[-1]) if len(kept) else None

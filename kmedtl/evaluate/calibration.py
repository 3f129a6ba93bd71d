"""From logits to probabilities that mean what they say: temperature scaling."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.25, 20.0


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the T in 0.25–20 that minimises the mean cross-entropy of sigmoid(logits / T).

    Where one threshold separates the classes without error, the loss only asks for certainty and says nothing of
    calibration: T is 1 then. The lower bound keeps a validation set that hardly errs from asking for the same.

    Source: Guo et al., On Calibration of Modern Neural Networks (2017), section 4.2.
    """
    signs = np.where(np.asarray(labels) == 1, 1.0, -1.0)
    margins = signs * np.asarray(logits, np.float64)
    if margins.min() > 0:
        return 1.0

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, -margins / np.exp(log_temperature)).mean())

    bounds = np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))

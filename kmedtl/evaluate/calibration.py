"""From logits to probabilities that mean what they say: temperature scaling."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

MAX_TEMPERATURE = 20.0


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the T that minimises the mean cross-entropy of sigmoid(logits / T), within 1/20 … 20.

    Source: Guo et al., On Calibration of Modern Neural Networks (2017), section 4.2. The bounds are reached only
    where the classes separate without error, and any temperature fits.
    """
    signs = np.where(np.asarray(labels) == 1, 1.0, -1.0)
    margins = signs * np.asarray(logits, np.float64)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, -margins / np.exp(log_temperature)).mean())

    bound = np.log(MAX_TEMPERATURE)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))

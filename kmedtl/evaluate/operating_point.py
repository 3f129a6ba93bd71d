"""The threshold that turns probabilities into decisions, chosen on validation only."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_curve


def youden(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the threshold with the largest sensitivity + specificity − 1 (Youden, Cancer 1950).

    It lies midway between two observed probabilities, so that another runtime's rounding does not flip a decision.
    """
    false_rate, true_rate, thresholds = roc_curve(labels, probabilities, drop_intermediate=False)
    best = int(np.argmax(true_rate - false_rate))
    above = thresholds[best] if np.isfinite(thresholds[best]) else 1.0
    below = thresholds[best + 1] if best + 1 < len(thresholds) else 0.0
    return float((above + below) / 2)

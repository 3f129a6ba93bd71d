"""What every threshold of a score would find and mistake."""

from __future__ import annotations

import numpy as np


def steps(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the distinct scores, falling, and how many of each class have that score or more.

    Args:
        labels: (N,), 0 or 1.
        scores: (N,), finite.

    Returns:
        scores (S,), true positives (S,), false positives (S,).
    """
    positive = np.asarray(labels) == 1
    rising, step_of_row = np.unique(np.asarray(scores, np.float64), return_inverse=True)
    found, mistaken = (np.bincount(step_of_row[rows], minlength=len(rising)) for rows in (positive, ~positive))
    return rising[::-1], np.cumsum(found[::-1]), np.cumsum(mistaken[::-1])

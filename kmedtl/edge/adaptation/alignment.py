"""Scores of another scanner brought back to what validation's were, without a label.

Source: Roschewitz et al., Automatic Correction of Performance Drift under Acquisition Shift in Medical Image
Classification, Nature Communications 2023 (unsupervised prediction alignment).
"""

from __future__ import annotations

import numpy as np

from kmedtl.edge.adaptation.reference import Reference

LEVELS = (np.arange(32) + 0.5) / 32
BEYOND = np.array([0.25, 0.5, 1.0, 2.0])  # of the spread, past the last quantile: what scores higher stays higher


def aligned(look: Reference, scores: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (M,), strictly rising, and those (M,) of validation that stand for them: quantile by quantile.

    Args:
        scores: (N,) of the images elsewhere.
        share: of them that have the finding; validation is mixed so.
    """
    here, first = np.unique(np.quantile(np.asarray(scores, np.float64), LEVELS), return_index=True)
    there = look.quantiles(LEVELS, share)[first]
    spread = max(float(here[-1] - here[0]), 1e-6), max(float(there[-1] - there[0]), 1e-6)
    outside = [np.concatenate([ends[0] - wide * BEYOND[::-1], ends, ends[-1] + wide * BEYOND])
               for ends, wide in zip((here, there), spread, strict=True)]  # fmt: skip
    return outside[0], outside[1]

"""Fit what tells images of another kind: on features of training images, with a threshold from validation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kmedtl.edge.out_of_distribution import Layout, OutOfDistribution, encoded, thumbnails, to_length_one
from kmedtl.errors import expect

COMPONENTS = 32
PASSED = 0.99  # share of validation images whose features are taken as of the model's kind
PASSED_LAYOUT = 0.995  # and whose layout is


def fit(training: np.ndarray, validation: np.ndarray, components: int = COMPONENTS) -> OutOfDistribution:
    """Return the Gaussian of the training features, with the threshold that 99 % of the validation images keep.

    Measured by benchmarks/out_of_distribution.py (seed 7) on a Lite0 trained on children's chest films, fitted to 600
    training and 300 validation films: of 300 test films 0.3 % (95 % 0.1–1.9) counted as of another kind; of blank
    images, noise, photographs, brain MRI and breast ultrasound every one; of inverted films only 26 % (21–32). With
    `fit_layout` beside it 100 % (98–100) of the inverted ones, and 1.7 % (0.7–3.8) of the test.

    Args:
        training: (N, D): the vectors that the logits are made of, of training images as they are.
        validation: (M, D), of patients who are not in training.
        components: main directions that are kept; fewer where there are not that many images or features.

    Raises:
        UserError: too few images, or features that are not finite or all alike.
    """
    expect(len(training) >= 3, "training features", "those of at least 3 images", len(training))
    expect(len(validation) >= 1, "validation features", "those of at least 1 image", len(validation))
    finite = bool(np.isfinite(training).all() and np.isfinite(validation).all())
    expect(finite, "features", "finite numbers", "others")
    scaled = to_length_one(training)
    mean = scaled.mean(axis=0)
    _, singular, directions = np.linalg.svd(scaled - mean, full_matrices=False)
    spread = np.square(singular) / (len(scaled) - 1)
    count = min(components, int((spread > 1e-9 * spread[0]).sum()) - 1)
    expect(count >= 1, "training features", "features that differ between images", "all alike")
    residual = spread[count:].sum() / (scaled.shape[1] - count)
    found = OutOfDistribution(
        encoded(mean), encoded(directions[:count]), tuple(spread[:count].tolist()), float(residual), threshold=1.0
    )
    return replace(found, threshold=float(np.quantile(found.score(validation), PASSED, method="higher")))


def fit_layout(training: np.ndarray, validation: np.ndarray) -> Layout:
    """Return the typical layout of training images, with the correlation that 99.5 % of the validation images reach.

    Where images have no layout in common, as in histology, it flags next to nothing.

    Args:
        training, validation: uint8 (N, H, W, C), N ≥ 1.
    """
    typical = Layout(encoded(to_length_one(thumbnails(training)).mean(axis=0)), -1.0)
    least = np.quantile(typical.likeness(validation), 1 - PASSED_LAYOUT, method="lower")
    return replace(typical, least=float(least))

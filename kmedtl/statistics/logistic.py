"""Logistic regression on a handful of parameters with bounds: what calibration is fitted and judged with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STEPS, TOLERANCE, RIDGE = 100, 1e-7, 1e-9


@dataclass(frozen=True)
class Regression:
    """A fitted regression.

    Attributes:
        parameters: (K,).
        gradients: (N, K), of each row's loss there.
        hessian: (K, K), of the sum of the losses there.
    """

    parameters: np.ndarray
    gradients: np.ndarray
    hessian: np.ndarray


def regress(
    design: np.ndarray,
    targets: np.ndarray,
    start: np.ndarray,
    low: np.ndarray | float = -np.inf,
    high: np.ndarray | float = np.inf,
    offset: np.ndarray | float = 0.0,
) -> Regression:
    """Minimise the mean cross-entropy of margins `design` @ parameters + `offset` within bounds.

    The margins are of a softmax, or of a sigmoid where there is one. The loss is convex, so Newton's method on the
    parameters that no bound holds, with halved steps, finds its minimum.

    Args:
        design: (N, F, K).
        targets: (N, F), 0 or 1.
        start, low, high: (K,).
        offset: (N, F), or one number.

    Source: Bertsekas, Projected Newton Methods, SIAM J. Control and Optimization 1982.
    """

    def loss(parameters: np.ndarray) -> float:
        margins = design @ parameters + offset
        return float((_normaliser(margins) - (targets * margins).sum(axis=1)).mean())

    parameters, count = np.asarray(start, np.float64), len(design)
    for _ in range(STEPS):
        gradients, hessian = _derivatives(design, targets, parameters, offset)
        gradient = gradients.mean(axis=0)
        held = (parameters <= low) & (gradient > 0) | (parameters >= high) & (gradient < 0)
        if np.abs(gradient[~held]).max(initial=0) < TOLERANCE:
            break
        direction = np.zeros_like(parameters)
        # The ridge: a bias added to all classes changes nothing, which leaves the Hessian without an inverse.
        curvature = hessian[np.ix_(~held, ~held)] / count + RIDGE * np.eye((~held).sum())
        direction[~held] = np.linalg.solve(curvature, gradient[~held])
        before, size = loss(parameters), 1.0
        while loss(np.clip(parameters - size * direction, low, high)) > before and size > TOLERANCE:
            size /= 2
        parameters = np.clip(parameters - size * direction, low, high)
    return Regression(parameters, *_derivatives(design, targets, parameters, offset))


def _derivatives(
    design: np.ndarray, targets: np.ndarray, parameters: np.ndarray, offset: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    margins = design @ parameters + offset
    found = np.exp(margins - _normaliser(margins)[:, None])
    expected = np.einsum("nf,nfk->nk", found, design)
    hessian = np.einsum("nf,nfk,nfl->kl", found, design, design, optimize=True) - expected.T @ expected
    return expected - np.einsum("nf,nfk->nk", targets.astype(np.float64), design), hessian


def _normaliser(margins: np.ndarray) -> np.ndarray:
    """Return the log of what the exponentials are divided by; a single margin stands beside one of 0."""
    return np.logaddexp(0, margins[:, 0]) if margins.shape[1] == 1 else np.logaddexp.reduce(margins, axis=1)

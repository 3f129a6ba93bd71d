"""Linear models fitted by a task's own loss, all at once: of fields, and of what several models put out."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from scipy.optimize import minimize

RIDGE = 1.0  # what the squares of the weights count beside the sum of the losses, as half of it in scikit-learn
MOST_STEPS = 500


def fit_linear(
    inputs: np.ndarray, targets: np.ndarray, loss: keras.losses.Loss, outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel (D, F) and bias (F,) of inputs · kernel + bias with the least loss; the kernel is held by a ridge.

    Args:
        inputs: float32 (N, D).
        targets: (N, …) as the loss takes them.
        outputs: F.
    """
    width = inputs.shape[1]

    def put_out(weights: tf.Tensor) -> tf.Tensor:
        return tf.matmul(tf.constant(inputs), tf.reshape(weights[outputs:], (width, outputs))) + weights[:outputs]

    centre, held = np.zeros(outputs + width * outputs), np.repeat([0.0, 1.0], [outputs, width * outputs])
    found = _least(put_out, targets, loss, centre, held)
    return found[outputs:].reshape(width, outputs), found[:outputs]


def fit_sum(
    first: np.ndarray, second: np.ndarray, targets: np.ndarray, loss: keras.losses.Loss
) -> tuple[float, float, np.ndarray]:
    """Return a, b and c (F,) of a · first + b · second + c with the least loss: stacking with a weight a model.

    A ridge holds a at 1 and b and c at 0, as if nothing but `first` were there. Source: Wolpert, Stacked
    generalization (1992); Breiman, Stacked regressions (1996).

    Args:
        first, second: float32 (N, F).
        targets: (N, …) as the loss takes them.
    """

    def put_out(weights: tf.Tensor) -> tf.Tensor:
        return weights[0] * tf.constant(first) + weights[1] * tf.constant(second) + weights[2:]

    centre = np.array([1.0, 0.0, *np.zeros(first.shape[1])])
    scale, share, *shift = _least(put_out, targets, loss, centre, np.ones(len(centre)))
    return float(scale), float(share), np.array(shift)


def _least(
    put_out: Callable[[tf.Tensor], tf.Tensor],
    targets: np.ndarray,
    loss: keras.losses.Loss,
    centre: np.ndarray,
    held: np.ndarray,
) -> np.ndarray:
    """Return the weights with the least mean loss, those that are `held` (1 or 0) drawn to the centre by a ridge."""
    known = tf.constant(targets.astype(np.float32))
    ridge = RIDGE / (2 * len(targets))

    @tf.function
    def slope(weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            value = loss(known, put_out(weights))
        return value, tape.gradient(value, weights)

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = (part.numpy().astype(float) for part in slope(tf.constant(weights.astype(np.float32))))
        away = held * (weights - centre)
        return float(value) + ridge * float(away @ away), gradient + 2 * ridge * away

    return minimize(objective, centre, jac=True, method="L-BFGS-B", options={"maxiter": MOST_STEPS}).x

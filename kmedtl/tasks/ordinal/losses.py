"""The losses of grades in order. Targets are the number of the grade, float32 (N, 1)."""

from __future__ import annotations

import keras
from keras import KerasTensor, ops


class Corn(keras.losses.Loss):
    """CORN's loss of logits (N, K − 1), in nats: whether each cut is passed, on the images that reach it.

    Cut k counts for images whose grade is at least k; the sum over cuts and images of the binary cross-entropies is
    divided by how many there are (Shi, Cao & Raschka 2021, equation 6). A value an image is returned whose mean over
    the batch is that, so that images can be weighed.
    """

    def __init__(self) -> None:
        super().__init__(name="corn")

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        grade, cut = ops.cast(y_true, y_pred.dtype), ops.arange(y_pred.shape[-1], dtype=y_pred.dtype)
        reached = ops.cast(grade >= cut, y_pred.dtype)
        passed = ops.cast(grade > cut, y_pred.dtype)
        each = ops.sum(ops.binary_crossentropy(passed, y_pred, from_logits=True) * reached, axis=-1)
        return each / ops.mean(ops.sum(reached, axis=-1))


class GradeCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits (N, K) of which that of the grade is true, in nats."""

    def __init__(self) -> None:
        super().__init__(name="grade_crossentropy")

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        true = ops.one_hot(ops.cast(y_true[:, 0], "int32"), y_pred.shape[-1], dtype=y_pred.dtype)
        return -ops.sum(true * ops.log_softmax(y_pred), axis=-1)

"""The losses: of yes-or-no findings, some unknown, of classes that exclude each other, and of a teacher's answers."""

from __future__ import annotations

import keras
import numpy as np

from kmedtl.data.manifest import UNKNOWN
from kmedtl.edge.tasks.classification.labels import LabelKind


def cross_entropy(kind: LabelKind, label_smoothing: float = 0.0, focal_gamma: float = 0.0) -> keras.losses.Loss:
    """Return the loss of a kind of question."""
    loss = SoftmaxCrossEntropy if kind == "multi_class" else MaskedCrossEntropy
    return loss(label_smoothing, focal_gamma)


class MaskedCrossEntropy(keras.losses.Loss):
    """Binary cross-entropy of logits (N, findings), the mean over each image's known findings, in nats.

    With `focal_gamma` each is weighed by |target − probability|^γ (Lin et al. 2017, equation 4, for hard targets).
    Targets are 0–1, or `UNKNOWN` where the loss must look away (CheXpert's uncertain labels, Irvin et al. 2019,
    section 3.2); label smoothing as in Szegedy et al. 2016, section 7.
    """

    def __init__(self, label_smoothing: float = 0.0, focal_gamma: float = 0.0) -> None:
        super().__init__(name="masked_cross_entropy")
        self.label_smoothing, self.focal_gamma = label_smoothing, focal_gamma

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        known = keras.ops.cast(keras.ops.not_equal(y_true, UNKNOWN), "float32")
        target = (1 - self.label_smoothing) * y_true + 0.5 * self.label_smoothing
        losses = keras.ops.binary_crossentropy(target, y_pred, from_logits=True) * known
        if self.focal_gamma:
            losses *= keras.ops.abs(target - keras.ops.sigmoid(y_pred)) ** self.focal_gamma
        return keras.ops.sum(losses, axis=-1) / keras.ops.maximum(keras.ops.sum(known, axis=-1), 1)


class SoftmaxCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits (N, classes) of which one is true, in nats.

    Targets are one-hot, or mixtures of such. With `focal_gamma` each class's part is weighed by (1 − probability)^γ
    (Lin et al. 2017, section 3.3); label smoothing as in Szegedy et al. 2016, section 7.
    """

    def __init__(self, label_smoothing: float = 0.0, focal_gamma: float = 0.0) -> None:
        super().__init__(name="softmax_cross_entropy")
        self.label_smoothing, self.focal_gamma = label_smoothing, focal_gamma

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        target = (1 - self.label_smoothing) * y_true + self.label_smoothing / y_true.shape[-1]
        losses = -target * keras.ops.log_softmax(y_pred)
        if self.focal_gamma:
            losses *= (1 - keras.ops.softmax(y_pred)) ** self.focal_gamma
        return keras.ops.sum(losses, axis=-1)


class Adjusted(keras.losses.Loss):
    """The loss of logits to each of which a number is added (Menon et al. 2021, equation 10)."""

    def __init__(self, loss: keras.losses.Loss, shift: np.ndarray) -> None:
        super().__init__(name="adjusted")
        self.loss, self.shift = loss, shift.astype(np.float32)

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        return self.loss.call(y_true, y_pred + self.shift)


def log_frequencies(kind: LabelKind, targets: np.ndarray) -> np.ndarray:
    """Return (F,) of targets (N, F): of classes the logarithm of their shares, of findings their log-odds.

    Each answer counts as if it had been given once more, so that none is impossible.
    """
    given, refused = ((targets == answer).sum(axis=0) + 1 for answer in (1, 0))
    return np.log(given / given.sum()) if kind == "multi_class" else np.log(given / refused)


class Distillation(keras.losses.Loss):
    """Part of the loss from labels, part from a teacher's answers, in nats.

    The second part is the cross-entropy of both answers at a temperature T, which divides the student's logits as it
    divided the teacher's, times T², since its gradients shrink by 1 / T² (Hinton et al., Distilling the Knowledge in a
    Neural Network, 2015, section 2). The teacher answers where the label is unknown, too.

    Targets are (N, 2 · findings): labels, then the teacher's probabilities at T.
    """

    def __init__(self, labels: keras.losses.Loss, kind: LabelKind, share: float, temperature: float) -> None:
        super().__init__(name="distillation")
        self.labels, self.kind, self.share, self.temperature = labels, kind, share, temperature

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        findings = y_pred.shape[-1]
        labels, soft, cooled = y_true[:, :findings], y_true[:, findings:], y_pred / self.temperature
        if self.kind == "multi_class":
            taught = -keras.ops.sum(soft * keras.ops.log_softmax(cooled), axis=-1)
        else:
            taught = keras.ops.mean(keras.ops.binary_crossentropy(soft, cooled, from_logits=True), axis=-1)
        return (1 - self.share) * self.labels.call(labels, y_pred) + self.share * self.temperature**2 * taught

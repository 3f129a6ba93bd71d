"""What a classification adds to the Keras graph: logits, their losses, and probabilities in a SavedModel."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import keras
import tensorflow as tf
from keras import KerasTensor

from kmedtl.edge.tasks.classification.calibration import Knots
from kmedtl.edge.tasks.classification.decoder import LOGITS, ClassDecoder
from kmedtl.heads.build import Features
from kmedtl.recipe import Stage, Training
from kmedtl.tasks.classification.classifiers import CLASSIFIERS, fit_classifier
from kmedtl.tasks.classification.losses import Adjusted, Distillation, cross_entropy, log_frequencies
from kmedtl.tasks.classification.question import ClassQuestion
from kmedtl.tasks.task import Network, SoftAnswers, Targets

TINY = 1e-7  # a probability whose logarithm is taken is no lower


def outputs(question: ClassQuestion, features: Features, scope: str = "") -> dict[str, KerasTensor]:
    """Return `logits`, float32 (N, findings), above zero where a finding is more likely than not."""
    return {LOGITS: features.linear(len(question.findings), scope + LOGITS)}


def losses(
    question: ClassQuestion, stage: Stage | None, training: Training, distilled: bool, known: Targets | None = None
) -> dict[str, keras.losses.Loss]:
    """Return the loss of a stage; without one the plain cross-entropy.

    Args:
        known: the targets of the training images, which tell how frequent the answers are.
    """
    if stage is None:
        return {LOGITS: cross_entropy(question.labels)}
    loss = cross_entropy(question.labels, stage.label_smoothing, stage.focal_gamma)
    if stage.logit_adjustment and known:
        shift = stage.logit_adjustment * log_frequencies(question.labels, known[LOGITS][:, : len(question.findings)])
        loss = Adjusted(loss, shift)
    if distilled:
        loss = Distillation(loss, question.labels, training.soft_share, training.soft_temperature)
    return {LOGITS: loss}


def decode(found: dict[str, tf.Tensor], decoder: ClassDecoder) -> dict[str, tf.Tensor]:
    """Return `probabilities`, float32 (N, findings), as the decoder's calibration makes them of logits."""
    calibration = decoder.calibration
    logits = tf.cast(found[LOGITS], tf.float64)
    several = calibration.kind == "multi_class"
    if calibration.method != "isotonic":
        margins = logits * tf.constant(calibration.scale, tf.float64) + tf.constant(calibration.bias, tf.float64)
        return {"probabilities": tf.cast(tf.nn.softmax(margins) if several else tf.sigmoid(margins), tf.float32)}
    scores = _against_rest(logits) if several else tf.unstack(logits, len(calibration.knots), axis=1)
    curves = tf.stack([_on_curve(*pair) for pair in zip(scores, calibration.knots, strict=True)], axis=1)
    whole = curves / tf.reduce_sum(curves, axis=1, keepdims=True) if several else curves
    return {"probabilities": tf.cast(whole, tf.float32)}


def _against_rest(logits: tf.Tensor) -> list[tf.Tensor]:
    columns = tf.unstack(logits, logits.shape[1], axis=1)
    return [
        column - tf.reduce_logsumexp(tf.stack([other for other in columns if other is not column], axis=1), axis=1)
        for column in columns
    ]


def _on_curve(scores: tf.Tensor, knots: Knots) -> tf.Tensor:
    """Return the height at each score of straight lines between the knots, level beyond the first and the last."""
    heights = tf.fill(tf.shape(scores), tf.constant(knots[0][1], tf.float64))
    for (left, low), (right, high) in pairwise(knots):
        heights += (high - low) * tf.clip_by_value((scores - left) / (right - left), 0, 1)
    return heights


def probabilities(question: ClassQuestion, found: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Return what logits say, uncalibrated: of classes that sum to 1, of findings each by itself."""
    squash = tf.nn.softmax if question.labels == "multi_class" else tf.sigmoid
    return {LOGITS: squash(found[LOGITS])}


def sharpened(question: ClassQuestion, found: Mapping[str, tf.Tensor], temperature: float) -> dict[str, tf.Tensor]:
    """Return p^(1/T) of each class, or of each finding beside its absence, as shares of their sum."""
    logs = tf.math.log(tf.maximum(found[LOGITS], TINY))
    if question.labels == "multi_class":
        return {LOGITS: tf.nn.softmax(logs / temperature)}
    return {LOGITS: tf.sigmoid((logs - tf.math.log(tf.maximum(1 - found[LOGITS], TINY))) / temperature)}


SOFT = SoftAnswers(probabilities, sharpened)
NETWORK = Network(outputs, losses, decode, dict.fromkeys(CLASSIFIERS, fit_classifier), SOFT)

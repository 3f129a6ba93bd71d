"""What an ordinal grading adds to the Keras graph: its output, the loss, and probabilities in a SavedModel."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import KerasTensor

from kmedtl.edge.tasks.ordinal import GRADE, GradeDecoder, width
from kmedtl.heads.build import Features
from kmedtl.recipe import Stage, Training
from kmedtl.tasks.ordinal.losses import Corn, GradeCrossEntropy
from kmedtl.tasks.ordinal.question import GradeQuestion
from kmedtl.tasks.task import Network, Targets


def outputs(question: GradeQuestion, features: Features, scope: str = "") -> dict[str, KerasTensor]:
    """Return `grade`, float32: logits (N, K − 1) of the cuts or (N, K) of the grades, or a number (N, 1)."""
    grades = len(question.grades)
    # A number starts in the middle of the grades, or the first steps would only go there.
    start = (grades - 1) / 2 if question.loss == "expected_grade" else 0.0
    bias = keras.initializers.Constant(start)
    return {GRADE: features.linear(width(question.loss, grades), scope + GRADE, bias_initializer=bias)}


def losses(
    question: GradeQuestion, stage: Stage | None, training: Training, distilled: bool, known: Targets | None = None
) -> dict[str, keras.losses.Loss]:
    """Return the loss that the recipe names; the same in every stage."""
    if question.loss == "expected_grade":
        return {GRADE: keras.losses.Huber(question.delta) if question.delta else keras.losses.MeanSquaredError()}
    return {GRADE: Corn() if question.loss == "corn" else GradeCrossEntropy()}


def decode(found: dict[str, tf.Tensor], decoder: GradeDecoder) -> dict[str, tf.Tensor]:
    """Return `probabilities` of the grades, float32 (N, K), and that of a referable one, `referable` (N, 1)."""
    logits, cuts = tf.cast(found[GRADE], tf.float64), len(decoder.grades) - 1
    above, last = [], tf.ones_like(logits[:, 0])
    for margin, slope, offset in zip(_margins(logits, decoder, cuts), decoder.slopes, decoder.offsets, strict=True):
        last = tf.minimum(last, tf.sigmoid(margin * slope + offset))
        above.append(last)
    ends = [tf.ones_like(last), *above, tf.zeros_like(last)]
    likely = tf.stack([ends[grade] - ends[grade + 1] for grade in range(cuts + 1)], axis=1)
    referable = above[decoder.referable_number - 1][:, None]
    return {"probabilities": tf.cast(likely, tf.float32), "referable": tf.cast(referable, tf.float32)}


def _margins(logits: tf.Tensor, decoder: GradeDecoder, cuts: int) -> list[tf.Tensor]:
    """Return what `kmedtl.edge.tasks.ordinal.margins` does, (N,) for each cut."""
    if decoder.loss == "expected_grade":
        return [logits[:, 0] - (cut + 0.5) for cut in range(cuts)]
    likely = logits
    if decoder.loss == "corn":
        nothing = tf.zeros_like(logits[:, :1])
        reached = tf.concat([nothing, tf.cumsum(tf.math.log_sigmoid(logits), axis=1)], axis=1)
        likely = reached + tf.concat([tf.math.log_sigmoid(-logits), nothing], axis=1)
    return [
        tf.reduce_logsumexp(likely[:, cut + 1 :], axis=1) - tf.reduce_logsumexp(likely[:, : cut + 1], axis=1)
        for cut in range(cuts)
    ]


NETWORK = Network(outputs, losses, decode)

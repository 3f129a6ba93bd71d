"""What a regression adds to the Keras graph: one number, its loss, and the number in its unit in a SavedModel."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import KerasTensor

from kmedtl.edge.tasks.regression import VALUE, NumberDecoder
from kmedtl.heads.build import Features
from kmedtl.recipe import Stage, Training
from kmedtl.tasks.regression.row import NumberQuestion
from kmedtl.tasks.task import Network, Targets


def outputs(question: NumberQuestion, features: Features, scope: str = "") -> dict[str, KerasTensor]:
    """Return `value`, float32 (N, 1), in standard deviations of the target from its mean."""
    return {VALUE: features.linear(1, scope + VALUE)}


def losses(
    question: NumberQuestion, stage: Stage | None, training: Training, distilled: bool, known: Targets | None = None
) -> dict[str, keras.losses.Loss]:
    """Return the loss that the recipe names, in squared standard deviations; the same in every stage."""
    if question.loss == "huber":
        return {VALUE: keras.losses.Huber(question.delta)}
    return {VALUE: keras.losses.MeanSquaredError()}


def decode(found: dict[str, tf.Tensor], decoder: NumberDecoder) -> dict[str, tf.Tensor]:
    """Return the number in its unit and the ends of its interval, float32 (N, 1)."""
    number = found[VALUE] * decoder.scale + decoder.offset
    return {"number": number, "low": number - decoder.half_width, "high": number + decoder.half_width}


NETWORK = Network(outputs, losses, decode)

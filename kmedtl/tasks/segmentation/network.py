"""What a segmentation adds to the Keras graph: a logit a pixel and structure, its losses, and masks in a SavedModel."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf
from keras import KerasTensor, layers, ops

from kmedtl.edge.tasks.segmentation import LEVELS, MASK, MaskDecoder
from kmedtl.heads.build import Features
from kmedtl.heads.unet import enlarged_to
from kmedtl.recipe import Stage, Training
from kmedtl.tasks.segmentation.question import MaskQuestion
from kmedtl.tasks.task import Network

SMOOTH = 1.0  # pixels added to both sides of a ratio: of an empty mask, an empty answer loses nothing


class OverlapLoss(keras.losses.Loss):
    """1 − Tversky index of each image and structure, of logits (N, h, w, M); with equal weights 1 − Dice.

    Source: Salehi et al., Tversky loss function for image segmentation (MLMI 2017), equation 4.
    """

    def __init__(self, missed: float = 0.5, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.missed = missed

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        probability = ops.sigmoid(y_pred)
        both = ops.sum(y_true * probability, axis=(1, 2))
        missed = ops.sum(y_true, axis=(1, 2)) - both
        false = ops.sum(probability, axis=(1, 2)) - both
        weighted = both + self.missed * missed + (1 - self.missed) * false
        return 1 - ops.mean((both + SMOOTH) / (weighted + SMOOTH), axis=-1)


class OfPixels(keras.losses.Loss):
    """The mean over pixels and structures of a loss of each: Keras would weigh the columns of a map, not its images."""

    def __init__(self, each: Callable[[KerasTensor, KerasTensor], KerasTensor], **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.each = each

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        found = self.each(y_true, y_pred)  # (N, h, w), the mean over structures
        return ops.mean(found, axis=(1, 2))


class DiceCrossEntropy(keras.losses.Loss):
    """The mean of 1 − Dice and of the cross-entropy of each pixel."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.overlap = OverlapLoss()

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        of_pixels = ops.binary_crossentropy(y_true, y_pred, from_logits=True)
        return (self.overlap.call(y_true, y_pred) + ops.mean(of_pixels, axis=(1, 2, 3))) / 2


def outputs(question: MaskQuestion, features: Features, scope: str = "") -> dict[str, KerasTensor]:
    """Return `mask`, float32 (N, size, size, M): the logit of each structure at each pixel."""
    logits = layers.Conv2D(len(question.structures), 1, name=f"{scope}mask_logits", dtype="float32")(features.dense)
    whole = enlarged_to(logits, features.image, f"{scope}mask_enlarge")
    return {MASK: layers.Activation("linear", name=scope + MASK, dtype="float32")(whole)}


def losses(
    question: MaskQuestion, stage: Stage | None, training: Training, distilled: bool
) -> dict[str, keras.losses.Loss]:
    """Return the loss that the recipe names, the same in every stage."""
    made: dict[str, Callable[[], keras.losses.Loss]] = {
        "dice_crossentropy": DiceCrossEntropy,
        "dice": OverlapLoss,
        "crossentropy": lambda: OfPixels(keras.losses.BinaryCrossentropy(from_logits=True).call),
        "focal": lambda: OfPixels(
            keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True, from_logits=True).call
        ),
        "tversky": lambda: OverlapLoss(question.missed),
    }
    return {MASK: made[question.loss]()}


def decode(found: dict[str, tf.Tensor], decoder: MaskDecoder) -> dict[str, tf.Tensor]:
    """Return which pixels belong to which structure, uint8 (N, size, size, M), small parts included."""
    levels = tf.round(tf.sigmoid(found[MASK]) * LEVELS)
    return {"called": tf.cast(levels > tf.constant(decoder.thresholds, tf.float32), tf.uint8)}


NETWORK = Network(outputs, losses, decode)

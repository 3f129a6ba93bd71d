"""What a segmentation adds to the Keras graph: a logit a pixel and structure, its losses, and masks in a SavedModel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import keras
import tensorflow as tf
from keras import KerasTensor, layers, ops

from kmedtl.edge.tasks.mask_decoder import HIGHEST, MaskDecoder
from kmedtl.edge.tasks.segmentation import MASK
from kmedtl.heads.build import Features
from kmedtl.heads.unet import enlarged_to
from kmedtl.recipe import Stage, Training
from kmedtl.tasks.segmentation.question import MaskQuestion
from kmedtl.tasks.task import Network, Targets

SMOOTH = 1.0  # pixels added to both sides of a ratio: of an empty mask, an empty answer loses nothing


def overlap(target: KerasTensor, logits: KerasTensor, missed: float = 0.5) -> KerasTensor:
    """Return 1 − Tversky index of each image and structure, (N, M), of maps (N, h, w, M); by default 1 − Dice.

    Source: Salehi et al., Tversky loss function for image segmentation (MLMI 2017), equation 4.
    """
    probability = ops.sigmoid(logits)
    both = ops.sum(target * probability, axis=(1, 2))
    lost = ops.sum(target, axis=(1, 2)) - both
    false = ops.sum(probability, axis=(1, 2)) - both
    weighted = both + missed * lost + (1 - missed) * false
    return 1 - (both + SMOOTH) / (weighted + SMOOTH)


def crossentropy(target: KerasTensor, logits: KerasTensor) -> KerasTensor:
    """Return the mean cross-entropy of the pixels of each image and structure, (N, M)."""
    return ops.mean(ops.binary_crossentropy(target, logits, from_logits=True), axis=(1, 2))


def focal(target: KerasTensor, logits: KerasTensor) -> KerasTensor:
    """Return the same as `crossentropy`, easy pixels counting less."""
    of = keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True, from_logits=True)
    return ops.mean(of.call(target[..., None], logits[..., None]), axis=(1, 2))  # Keras takes means over the last axis


class OfStructures(keras.losses.Loss):
    """The mean over structures of what each adds to the loss of an image.

    Keras would weigh the columns of a map, not its images.

    Args:
        each: (masks, logits), both (N, h, w, M) → (N, M).
        weights: of each structure, above 0; only their ratios matter.
    """

    def __init__(self, each: Callable[[KerasTensor, KerasTensor], KerasTensor], weights: Sequence[float]) -> None:
        super().__init__()
        self.each = each
        self.weights = [weight / sum(weights) for weight in weights]

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        found = self.each(y_true, y_pred)
        return ops.sum(found * ops.convert_to_tensor(self.weights, found.dtype), axis=-1)


def outputs(question: MaskQuestion, features: Features, scope: str = "") -> dict[str, KerasTensor]:
    """Return `mask`, float32 (N, size, size, M): the logit of each structure at each pixel."""
    logits = layers.Conv2D(len(question.structures), 1, name=f"{scope}mask_logits", dtype="float32")(features.dense)
    whole = enlarged_to(logits, features.image, f"{scope}mask_enlarge")
    return {MASK: layers.Activation("linear", name=scope + MASK, dtype="float32")(whole)}


def losses(
    question: MaskQuestion, stage: Stage | None, training: Training, distilled: bool, known: Targets | None = None
) -> dict[str, keras.losses.Loss]:
    """Return the loss that the recipe names, of structures by their weights, the same in every stage."""
    each: dict[str, Callable[[KerasTensor, KerasTensor], KerasTensor]] = {
        "dice_crossentropy": lambda target, logits: (overlap(target, logits) + crossentropy(target, logits)) / 2,
        "dice": overlap,
        "crossentropy": crossentropy,
        "focal": focal,
        "tversky": partial(overlap, missed=question.missed),
    }
    return {MASK: OfStructures(each[question.loss], question.weights or (1.0,) * len(question.structures))}


def decode(found: dict[str, tf.Tensor], decoder: MaskDecoder) -> dict[str, tf.Tensor]:
    """Return which pixels belong to which structure, uint8 (N, size, size, M), small parts included."""
    levels = tf.round(tf.sigmoid(found[MASK]) * HIGHEST)
    return {"called": tf.cast(levels > tf.constant(decoder.thresholds, tf.float32), tf.uint8)}


NETWORK = Network(outputs, losses, decode)

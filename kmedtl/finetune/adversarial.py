"""Adversarial alignment: the backbone learns to hide from which domain, such as a scanner, an image is.

A small classifier learns the domain from the vector before the head, and its gradient reaches the backbone reversed:
what tells domains apart is unlearned there. The classifier belongs to a graph that only training uses, which shares all
other layers with the model; validation, the test and every file know nothing of it.

Source: Ganin et al., Domain-Adversarial Training of Neural Networks (DANN), 2016, sections 4.2 and 5.2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers, ops

from kmedtl.backbones.blocks import Block, layers_of, select
from kmedtl.data.pipeline import Pipeline
from kmedtl.errors import UserError
from kmedtl.finetune.added_outputs import DOMAIN, added_output
from kmedtl.finetune.block_importance import is_adaptive
from kmedtl.heads.build import penultimate
from kmedtl.recipe import Stage
from kmedtl.tasks.classification.losses import cross_entropy

ADVERSARIAL = "adversarial"  # of `Stage.domains`
HIDDEN = 64  # numbers between the vector and the domains
STEEPNESS = 10.0  # of the ramp; the paper's γ


@dataclass(frozen=True)
class Domains:
    """The domains that training images are of.

    Attributes:
        column: of the manifest that names them.
        names: in alphabetical order, two or more.
    """

    column: str
    names: tuple[str, ...]

    def targets(self, table: pd.DataFrame) -> np.ndarray:
        """Return 1 at the domain of each image, float32 (N, domains); all are 0 where nobody knows it: no loss."""
        return (_named(table[self.column])[:, None] == np.array(self.names, object)).astype(np.float32)


def domains_of(stage: Stage, column: str, images: pd.DataFrame) -> Domains | None:
    """Return the domains of training images; None where a stage does not ask for them.

    Raises:
        UserError: there are fewer than two.
    """
    if stage.domains != ADVERSARIAL:
        return None
    names = tuple(sorted(set(_named(images[column])) - {""})) if column in images else ()
    if len(names) < 2:
        found = f"{len(names)} ({', '.join(names)})" if names else "none" if column in images else "no such column"
        raise UserError(
            f"stage {stage.name}: domains: expected training images of two domains or more in the column "
            f"data.domain={column}. Received: {found}; name another column, or set domains=none."
        )
    return Domains(column, names)


def _named(column: pd.Series) -> np.ndarray:
    """Return the names of a column as text, object (N,); "" where nobody knows one."""
    return column.astype(object).where(column.notna(), "").astype(str).to_numpy(object)


def check_alignment(
    stage: Stage, column: str, images: pd.DataFrame, model: keras.Model, blocks: Sequence[Block]
) -> None:
    """Refuse a stage that would align domains but has too few, or trains nothing before the vector that is aligned.

    Raises:
        UserError: it does.
    """
    if domains_of(stage, column, images) is None or is_adaptive(stage):
        return
    before = {layer.name for layer in keras.Model(model.inputs, penultimate(model)).layers}
    trained = layers_of(model, blocks, select(blocks, stage.train))
    if not any(layer.name in before and not isinstance(layer, layers.BatchNormalization) for layer in trained):
        raise UserError(
            f"stage {stage.name}: domains: expected a stage that trains blocks of the backbone, such as train=last:2: "
            f"the vector that is aligned is theirs. Received: train={stage.train}."
        )


def with_domains(images: Pipeline, domains: Domains | None) -> Pipeline:
    """Return training images with their domains among what is known of them."""
    if domains is None:
        return images
    return replace(images, targets={**images.targets, DOMAIN: domains.targets(images.table)})


def with_classifier(model: keras.Model, domains: Domains | None, seed: int) -> keras.Model:
    """Return the model with a further output `domain`, logits (N, domains), behind a `GradientReversal`.

    Without domains the model as it is.
    """
    if domains is None:
        return model
    vector = GradientReversal(name="domain_reversal")(penultimate(model))
    # Else the backbone would raise the loss without end by larger and larger numbers.
    vector = layers.LayerNormalization(center=False, scale=False, name="domain_scaled")(vector)
    logits = added_output(vector, DOMAIN, HIDDEN, len(domains.names), seed)
    return keras.Model(model.inputs, {**model.output, DOMAIN: logits})


def aligning_losses(trainer: keras.Model) -> dict[str, keras.losses.Loss]:
    """Return the loss of the domains, as far as a model puts any out."""
    return {DOMAIN: cross_entropy("multi_class")} if DOMAIN in trainer.output else {}


class GradientReversal(layers.Layer):
    """Hands on what it is given, and the gradient times −`strength`; a number of 0 to 1 that `Ramp` raises.

    Source: Ganin et al. 2016, equations 16 and 17.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.strength = self.add_weight(shape=(), initializer="zeros", trainable=False, name="strength")

    def call(self, vector: keras.KerasTensor) -> keras.KerasTensor:
        return _reversing(vector, ops.cast(self.strength, vector.dtype))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


@tf.custom_gradient
def _reversing(
    vector: tf.Tensor, strength: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, ...]]]:
    return tf.identity(vector), lambda gradient: (-strength * gradient, tf.zeros_like(strength))


class Ramp(keras.callbacks.Callback):
    """Raises the strength of every reversal from 0 towards 1 along the steps of a stage, so that noise aligns nothing.

    Source: Ganin et al. 2016, section 5.2.2: 2 / (1 + exp(−10 p)) − 1 where p of the steps are done.

    Args:
        done, steps: of the stage, before this epoch and in all.
    """

    def __init__(self, trainer: keras.Model, done: int, steps: int) -> None:
        super().__init__()
        self._reversals = [layer for layer in trainer.layers if isinstance(layer, GradientReversal)]
        self._done, self._steps = done, steps

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        for layer in self._reversals:
            layer.strength.assign(strength_at((self._done + batch) / self._steps))


def strength_at(progress: float) -> float:
    """Return the strength of the reversal when a fraction of the steps is done."""
    return float(2 / (1 + np.exp(-STEEPNESS * progress)) - 1)

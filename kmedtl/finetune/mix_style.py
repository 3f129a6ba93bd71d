"""MixStyle: in training, early feature maps get the style of those of another image of the batch.

Source: Zhou et al., Domain Generalization with MixStyle, 2021, section 3.2 and algorithm 1, without domain labels.

The layers lie in a graph of their own that shares all others with the model, and only training uses it: validation,
the test and every file know nothing of them. Where the frozen part is computed once, so is the style, anew for each of
the `views`, as it is with augmented pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmedtl.backbones.blocks import Block
from kmedtl.finetune.early_blocks import early_maps
from kmedtl.recipe import Stage

MIXSTYLE = "mixstyle"  # of `Stage.style`
ALPHA = 0.1  # of the beta distribution of weights: most are near 0 or 1
OFTEN = 0.5  # of the batches a layer mixes
EPSILON = 1e-6  # is added to variances


class MixStyle(keras.layers.Layer):
    """Mixes the style of each map of a batch with that of another one, whenever it is called, in every second batch.

    Takes and returns (N, h, w, C).
    """

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, maps: keras.KerasTensor) -> keras.KerasTensor:
        count = ops.shape(maps)[0]
        partners = ops.argsort(keras.random.uniform((count,), seed=self.generator))
        kept = keras.random.beta((count, 1, 1, 1), ALPHA, ALPHA, dtype="float32", seed=self.generator)
        kept = ops.where(ops.isnan(kept), 0.5, kept)  # 0 / 0, of two gammas that are both too small to be told from 0
        mixed = with_style(maps, ops.take(maps, partners, axis=0), kept)
        return ops.where(keras.random.uniform((), seed=self.generator) < OFTEN, mixed, maps)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


def with_style(maps: keras.KerasTensor, others: keras.KerasTensor, kept: keras.KerasTensor) -> keras.KerasTensor:
    """Return maps whose means and deviations by channel are kept · their own + (1 − kept) · the others'.

    No gradient goes through means and deviations. Maps are (N, h, w, C), `kept` (N, 1, 1, 1).
    """
    own, other = (_style(part) for part in (maps, others))
    (mean, deviation), (new_mean, new_deviation) = (
        own,
        (kept * a + (1 - kept) * b for a, b in zip(own, other, strict=True)),
    )
    styled = (ops.cast(maps, "float32") - mean) / deviation * new_deviation + new_mean
    return ops.cast(styled, maps.dtype)


def _style(maps: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    mean, variance = ops.moments(ops.cast(maps, "float32"), axes=(1, 2), keepdims=True)
    return ops.stop_gradient(mean), ops.stop_gradient(ops.sqrt(variance + EPSILON))


def styled_places(stage: Stage, model: keras.Model, blocks: Sequence[Block]) -> tuple[str, ...]:
    """Return the names of the operations behind which a stage mixes styles; empty: behind none.

    Raises:
        UserError: the backbone has no early map.
    """
    if stage.style != MIXSTYLE:
        return ()
    return tuple(tensor._keras_history.operation.name for tensor in early_maps(model, blocks))


def styled(model: keras.Model, places: Sequence[str]) -> keras.Model:
    """Return the model, or a part of it, with a `MixStyle` behind each of these places; all other layers are shared."""
    names = {operation.name for operation in model.operations}
    mixing = {name: MixStyle(number) for number, name in enumerate(places) if name in names}
    if not mixing:
        return model

    def call(operation: keras.Operation, *given: Any, **named: Any) -> Any:
        found = operation(*given, **named)
        return mixing[operation.name](found) if operation.name in mixing else found

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)

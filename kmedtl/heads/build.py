"""A whole model: a backbone, a head, and the outputs of a task, in one flat graph."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import KerasTensor

from kmedtl.backbones.build import build_features
from kmedtl.heads.pooling import vector_of
from kmedtl.recipe import Backbone, Head


def build_model(
    backbone: Backbone, head: Head, size: int, channels: int, outputs: Callable[[KerasTensor], dict[str, KerasTensor]]
) -> keras.Model:
    """Return a flat functional model from raw pixels to the outputs of a task.

    Its input `image` is float32 (N, size, size, channels) in 0–255; its outputs are float32, by name.

    Args:
        outputs: from one vector an image, (N, D), to the outputs.

    Raises:
        UserError: an unknown backbone or block, or weights that cannot be had or do not fit.
    """
    image = keras.Input((size, size, channels), name="image")
    features = build_features(image, backbone.name, backbone.weights, backbone.truncate_at)
    return keras.Model(image, outputs(vector_of(features, head)), name="model")


def with_named_outputs(model: keras.Model, output: str) -> keras.Model:
    """Return a model whose outputs have names; the only output of one of earlier versions is called `output`."""
    return model if isinstance(model.output, dict) else keras.Model(model.inputs, {output: model.output})


def penultimate(model: keras.Model) -> KerasTensor:
    """Return the tensor (batch, D) that the first output is made of; where no layer makes it of a vector, the pooled.

    It is what out-of-distribution detection and ensembles look at.
    """
    first = next(iter(model.output.values()))
    last = first._keras_history.operation
    return last.input if isinstance(last, keras.layers.Dense) else model.get_layer("head_pool").output

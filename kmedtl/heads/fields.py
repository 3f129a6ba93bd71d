"""Fields in the graph: they gate the vector of an image, or are added to a finished model's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
from keras import KerasTensor, layers

from kmedtl.edge.fields import FIELDS

HIDDEN = 32  # numbers that the fields become before they gate a vector
GATED, ADDED = "fields_gated", "fields_added"  # what layers' names end in whose first input is of the image alone
SCALED, GIVEN = "image_scaled", "fields_given"


@dataclass(frozen=True)
class Addition:
    """How an output of the image and fields become one: image · `scale` + fields · `kernel` + `bias`.

    Attributes:
        kernel: float (D, F).
        bias: float (F,).
    """

    scale: float
    kernel: np.ndarray
    bias: np.ndarray


def gated(vector: KerasTensor, fields: KerasTensor) -> KerasTensor:
    """Return vector · (1 + γ) + β, both made of the fields, and 0 before anything is learned.

    Source: Perez et al., FiLM: Visual Reasoning with a General Conditioning Layer (2018), section 2.1, with the scale
    as its difference from 1 (section 7.2).
    """
    hidden = layers.Dense(HIDDEN, activation="relu6", name="fields_hidden")(_given(fields))
    width = vector.shape[-1]
    scale = layers.Dense(width, kernel_initializer="zeros", name="fields_scale")(hidden)
    shift = layers.Dense(width, kernel_initializer="zeros", name="fields_shift")(hidden)
    scaled = layers.Multiply(name="fields_scaled")([vector, scale])
    return layers.Add(name=GATED)([vector, scaled, shift])


def with_fields(model: keras.Model, additions: Mapping[str, Addition]) -> keras.Model:
    """Return a model of images with a second input `fields`, added to each of its outputs; its layers are shared."""
    width = len(next(iter(additions.values())).kernel)
    fields = keras.Input((width,), name=FIELDS)
    given, outputs = _given(fields), {}
    for name, output in model.output.items():
        if name not in additions:  # such as the attention, which no field moves
            outputs[name] = output
            continue
        scaled = layers.Rescaling(additions[name].scale, name=f"{name}_{SCALED}", dtype="float32")(output)
        layer = layers.Dense(output.shape[-1], name=f"{name}_of_fields", dtype="float32")
        outputs[name] = layers.Add(name=f"{name}_{ADDED}", dtype="float32")([scaled, layer(given)])
        layer.set_weights([additions[name].kernel, additions[name].bias])
    return keras.Model([model.inputs[0], fields], outputs, name=model.name)


def given_fields(model: keras.Model) -> list[KerasTensor]:
    """Return the tensor of the fields, where a model can be cut; of a model that takes none: nothing."""
    return [layer.output for layer in model.layers if layer.name == GIVEN]


def _given(fields: KerasTensor) -> KerasTensor:
    """Return the fields as they are: Keras cannot cut a model at an input of its own beside another tensor."""
    return layers.Activation("linear", name=GIVEN)(fields)


def image_side(tensor: KerasTensor) -> KerasTensor:
    """Return what a tensor was before the fields came in; a tensor without fields as it is."""
    operation = tensor._keras_history.operation
    if operation.name.endswith(GATED):
        return operation.input[0]
    if operation.name.endswith(ADDED):
        return operation.input[0]._keras_history.operation.input
    return tensor

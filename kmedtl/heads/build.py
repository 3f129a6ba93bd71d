"""A whole model: a backbone, a head, and the outputs of a task, in one flat graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import KerasTensor, layers

from kmedtl.backbones.blocks import block_map, pyramid
from kmedtl.backbones.build import build_features
from kmedtl.backbones.spec import FEATURES
from kmedtl.edge.fields import FIELDS
from kmedtl.edge.pooling import ATTENTION
from kmedtl.heads.fields import gated, image_side
from kmedtl.heads.pooling import pooling_of, vector_of
from kmedtl.heads.slices import slice_attention
from kmedtl.heads.unet import unet
from kmedtl.heads.views import linear
from kmedtl.recipe import Backbone, Head


@dataclass(frozen=True)
class Features:
    """What the outputs of a task are made of.

    Attributes:
        map: the backbone's last feature map, (batch, h, w, C).
        vector: one vector an image, (batch, D), as the head makes it of the map, gated by the fields if there are any.
        pyramid: stride → the last feature map of that stride, (batch, about size / stride, …, C).
        dense: one feature map from all strides, as the head makes it, (batch, about size / finest stride, …, C).
        fields: what is known beside the image, (batch, D); None: nothing.
        views: how many images of a patient are answered together; 0: each by itself.
    """

    image: KerasTensor
    map: KerasTensor
    backbone: str
    head: Head
    fields: KerasTensor | None = None
    views: int = 0

    def linear(self, width: int, name: str, **options: Any) -> KerasTensor:
        """Return an output of the vector, float32; see `kmedtl.heads.views.linear`."""
        return linear(self.vector, width, name, self.views, **options)

    @cached_property
    def vector(self) -> KerasTensor:
        vector = vector_of(self.map, self.head)
        return vector if self.fields is None else gated(vector, self.fields)

    @cached_property
    def dense(self) -> KerasTensor:
        return unet(self.image, self.pyramid, self.head)

    @cached_property
    def pyramid(self) -> dict[int, KerasTensor]:
        model = keras.Model(self.image, self.map)
        return pyramid(model, block_map(model, self.backbone)[:-1])


class BackboneGraph(NamedTuple):
    """A backbone that heads are put on: its input, and its last feature map (batch, h, w, C)."""

    image: KerasTensor
    map: KerasTensor


def build_model(
    backbone: Backbone,
    head: Head,
    size: int,
    channels: int,
    outputs: Callable[[Features], dict[str, KerasTensor]],
    fields: int = 0,
    attends: bool = False,
    views: int = 0,
    on: BackboneGraph | None = None,
) -> keras.Model:
    """Return a flat functional model from raw pixels to the outputs of a task.

    Its input `image` is float32 (N, size, size, channels) in 0–255; its outputs are float32, by name.

    Args:
        outputs: from what the backbone finds to the outputs, by name.
        fields: how many numbers an image are known beside it; with any there is a second input `fields`, float32
            (N, fields), that gates the vector of the image.
        attends: images are slices, and a further output says how much each counts in its volume.
        views: as of `Features`; the outputs are then as of `kmedtl.heads.views.linear`.
        on: the backbone where it is built already, of that size and those channels; other heads may be on it.

    Raises:
        UserError: an unknown backbone or block, or weights that cannot be had or do not fit.
    """
    image, last = on or backbone_graph(backbone, size, channels)
    beside = [keras.Input((fields,), name=FIELDS)] if fields else []
    features = Features(image, last, backbone.name, head, beside[0] if beside else None, views)
    made = outputs(features)
    if attends:
        made = made | {ATTENTION: slice_attention(features.vector, head)}
    return keras.Model([image, *beside] if beside else image, made, name="model")


def backbone_graph(backbone: Backbone, size: int, channels: int) -> BackboneGraph:
    """Return a new backbone behind an input `image`, float32 (N, size, size, channels) in 0–255.

    Raises:
        UserError: as of `build_model`.
    """
    image = keras.Input((size, size, channels), name="image")
    return BackboneGraph(image, build_features(image, backbone.name, backbone.weights, backbone.truncate_at))


def with_named_outputs(model: keras.Model, output: str) -> keras.Model:
    """Return a model whose outputs have names; the only output of one of earlier versions is called `output`."""
    return model if isinstance(model.output, dict) else keras.Model(model.inputs, {output: model.output})


def tensors(images: np.ndarray, fields: np.ndarray | None = None) -> np.ndarray | tuple[np.ndarray, ...]:
    """Return what a Keras model is called with: float32 images, and float32 fields where it takes any."""
    pixels = images.astype(np.float32)
    return pixels if fields is None else (pixels, fields)


def penultimate(model: keras.Model) -> KerasTensor:
    """Return the tensor (batch, D) that the first output is made of; else the backbone's last feature map, pooled.

    It is what out-of-distribution detection and ensembles look at: of the image alone, where fields come in behind it.
    """
    first = image_side(next(output for name, output in model.output.items() if name != ATTENTION))
    last = first._keras_history.operation
    if isinstance(last, layers.Concatenate):  # of views, of which the first is as of images
        last = last.input[0]._keras_history.operation
    if isinstance(last, layers.Dense):
        return image_side(last.input)
    pooling = pooling_of(model)
    return pooling.output if pooling else layers.GlobalAveragePooling2D()(model.get_layer(FEATURES).output)

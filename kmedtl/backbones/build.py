"""Build a backbone: from an image of 0–255 to its last feature map, in one flat graph."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Sequence

import keras
import numpy as np
from keras import KerasTensor, layers

from kmedtl.backbones import registry
from kmedtl.backbones.normalisation import MEAN, STD, normalisation_of, normalise
from kmedtl.backbones.spec import FEATURES, Backbone
from kmedtl.backbones.weights import card_of, check_weights, load_weights
from kmedtl.errors import UserError, nearest


def build_features(image: KerasTensor, name: str, weights: str = "imagenet", truncate_at: str = "") -> KerasTensor:
    """Return the last feature map, before pooling, of the backbone `name` on top of `image`.

    The graph is flat: every layer of the backbone is a layer of the model it becomes part of. Grayscale is
    repeated to three channels and values are normalised inside it, as ImageNet's weights expect or as the card of an
    imported file says; its last layer is called `features`.

    Args:
        image: (batch, H, W, 1 or 3) float32, values 0–255, RGB.
        name: a name of the registry.
        weights: `imagenet`, `random`, or the path of a `.weights.h5` or legacy `.h5` file without top; always of the
            whole backbone.
        truncate_at: the last block that is kept; empty: all. What lies above it is no part of the graph.

    Returns:
        (batch, h, w, channels) float32.

    Raises:
        UserError: an unknown name or block, a block that hands on several tensors, an image too small or of another
            shape, or weights that cannot be had or belong to another backbone.
    """
    row = registry.get(name)
    end = _truncation(row, truncate_at) if truncate_at else FEATURES
    _check_shape(image.shape, row)
    x = normalise(image, normalisation_of(row, card_of(row, weights)))
    given = {id(op) for op in keras.Model(keras.utils.get_source_inputs(x), x).operations}
    model = build_backbone(row, x)
    _rename_counted([op for op in model.operations if id(op) not in given])
    load_weights(model, row, weights)
    if row.input_mode == "adapted":
        _set_normalisation(model)
    output = model.output if end == FEATURES else _output_of(model, end)
    return layers.Activation("linear", name=FEATURES)(output)


def build_backbone(row: Backbone, image: KerasTensor) -> keras.Model:
    """Return the backbone as its builder makes it, on images (batch, H, W, 3) as its weights expect them.

    Its weights are random; layers that Keras names by counting have whatever number is next in this process.
    """
    module, _, function = row.builder.rpartition(".")
    return getattr(importlib.import_module(module), function)(input_tensor=image, **dict(row.options))


def check_backbone(name: str, weights: str, truncate_at: str, size: int, channels: int) -> tuple[str, ...]:
    """Refuse what `build_features` would refuse, without building; return the names of the blocks that are kept.

    Raises:
        UserError: an unknown name or block, an image too small, or weights that cannot be had.
    """
    row = registry.get(name)
    if truncate_at:
        _truncation(row, truncate_at)
    _check_shape((None, size, size, channels), row)
    check_weights(row, weights)
    names = [block for block, _ in row.blocks]
    return tuple(names[: names.index(truncate_at) + 1] if truncate_at else names)


def _truncation(row: Backbone, block: str) -> str:
    """Return the name of the operation that `block` ends in; of the last block that is the feature map itself."""
    ends = {name: ends[0] for name, ends in row.blocks if len(ends) == 1}
    if block not in ends:
        several = block in dict(row.blocks)
        reason = f"block {block} hands on several tensors" if several else f"no such block: {block!r}"
        raise UserError(f"backbone.truncate_at: {reason} in {row.name}. {nearest(block, ends)}")
    return ends[block]


def _output_of(model: keras.Model, operation: str) -> KerasTensor:
    return next(op.output for op in model.operations if op.name == operation)


def _check_shape(shape: Sequence[int | None], row: Backbone) -> None:
    if len(shape) != 4 or shape[-1] not in (1, 3):
        raise UserError(f"backbone {row.name}: expected images (batch, H, W, 1 or 3). Received: {tuple(shape)}.")
    if any(side is not None and side < row.min_size for side in shape[1:3]):
        raise UserError(
            f"backbone {row.name}: images must be at least {row.min_size}×{row.min_size} pixels. "
            f"Received: {shape[1]}×{shape[2]}; set a larger size."
        )


def _rename_counted(operations: list[keras.Operation]) -> None:
    """Rename what Keras named by counting all this process ever built: `add_17` becomes `backbone_add_2`."""
    count: Counter[str] = Counter()
    for op in operations:
        stem = re.sub(r"_\d+$", "", op.name)
        if stem.replace("_", "") == type(op).__name__.lower():
            op.name = f"backbone_{stem}_{count[stem]}"
            count[stem] += 1


def _set_normalisation(model: keras.Model) -> None:
    """Give EfficientNet's own Normalization layer the ImageNet statistics, whatever the weights file holds.

    Its published files keep the standard deviation where the layer expects the variance; the builder mends that
    with one more layer if it loads them itself. Here the graph stays the same with any weights.
    """
    (layer,) = (layer for layer in model.layers if isinstance(layer, layers.Normalization))
    _, _, count = layer.get_weights()
    layer.set_weights([np.array(MEAN), np.square(STD), count])
    layer.finalize_state()

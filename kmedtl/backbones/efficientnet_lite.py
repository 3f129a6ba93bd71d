"""EfficientNet-Lite as a plain Keras functional graph.

Architecture: EfficientNet (Tan and Le 2019, table 1, https://arxiv.org/abs/1905.11946) in its "Lite" form:
ReLU6 for swish, no squeeze-and-excitation; stem and head keep their width, the first and last stages their
depth at every scale. Stochastic depth is left out: it regularises training from scratch and changes nothing
at inference.

Layer names: `stem_conv`, `block2a_expand_conv`, `block2a_depthwise_conv`, `block2a_project_conv`, `block2b_add`,
…, `top_conv`; each convolution is followed by `…_bn` and, but for the projections, `…_relu`.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import keras
import numpy as np
from keras import KerasTensor, layers

BN_EPSILON = 1e-3
STEM_FILTERS = 32
TOP_FILTERS = 1280


@dataclass(frozen=True)
class Stage:
    """One row of table 1: `repeats` inverted residual blocks, the first of them with `strides`."""

    kernel: int
    repeats: int
    filters: int
    expand: int
    strides: int


STAGES = (
    Stage(kernel=3, repeats=1, filters=16, expand=1, strides=1),
    Stage(kernel=3, repeats=2, filters=24, expand=6, strides=2),
    Stage(kernel=5, repeats=2, filters=40, expand=6, strides=2),
    Stage(kernel=3, repeats=3, filters=80, expand=6, strides=2),
    Stage(kernel=5, repeats=3, filters=112, expand=6, strides=1),
    Stage(kernel=5, repeats=4, filters=192, expand=6, strides=2),
    Stage(kernel=3, repeats=1, filters=320, expand=6, strides=1),
)


def efficientnet_lite(input_tensor: KerasTensor, width: float, depth: float) -> keras.Model:
    """Return the model from the source input of `input_tensor` to the last feature map, randomly initialised.

    `input_tensor` is (batch, H, W, 3) float32, normalised as (RGB - 127) / 128; the output is
    (batch, ⌈H/32⌉, ⌈W/32⌉, 1280) in 0–6. `width` and `depth` are the compound scaling factors.
    """
    x = _conv_bn_relu(input_tensor, "stem", STEM_FILTERS, kernel=3, strides=2)
    for block, stage, filters, strides in _blocks(width, depth):
        x = _inverted_residual(x, block, stage, filters, strides)
    x = _conv_bn_relu(x, "top", TOP_FILTERS, kernel=1)
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x)


def assign_reference(model: keras.Model, tensors: Mapping[str, np.ndarray], width: float, depth: float) -> None:
    """Set the weights of an `efficientnet_lite` model from the PyTorch reference's state dict.

    Convolution kernels turn from OIHW to Keras' HWIO (depthwise: HWOI). Raises KeyError if a tensor is absent
    and ValueError if a shape differs: both mean that the file belongs to another model.
    """
    for layer, (conv, bn) in reference_names(width, depth).items():
        depthwise = layer.endswith("depthwise")
        kernel = tensors[f"{conv}.weight"].transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        model.get_layer(f"{layer}_conv").set_weights([kernel])
        names = ("weight", "bias", "running_mean", "running_var")
        model.get_layer(f"{layer}_bn").set_weights([tensors[f"{bn}.{name}"] for name in names])


def _blocks(width: float, depth: float) -> Iterator[tuple[str, Stage, int, int]]:
    """Yield (block name, its stage, output filters, strides) from input to output."""
    for number, stage in enumerate(STAGES, start=1):
        outer = number in (1, len(STAGES))
        repeats = stage.repeats if outer else math.ceil(stage.repeats * depth)
        for index in range(repeats):
            name = f"block{number}{string.ascii_lowercase[index]}"
            yield name, stage, _round_filters(stage.filters * width), stage.strides if index == 0 else 1


def _round_filters(filters: float) -> int:
    """Round to the nearest multiple of 8, but never down by more than a tenth."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def _inverted_residual(x: KerasTensor, name: str, stage: Stage, filters: int, strides: int) -> KerasTensor:
    shortcut, filters_in = x, x.shape[-1]
    if stage.expand > 1:
        x = _conv_bn_relu(x, f"{name}_expand", filters_in * stage.expand, kernel=1)
    x = layers.DepthwiseConv2D(stage.kernel, strides, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(x)
    x = layers.BatchNormalization(epsilon=BN_EPSILON, name=f"{name}_depthwise_bn")(x)
    x = layers.ReLU(6, name=f"{name}_depthwise_relu")(x)
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(epsilon=BN_EPSILON, name=f"{name}_project_bn")(x)
    if strides == 1 and filters == filters_in:
        x = layers.Add(name=f"{name}_add")([x, shortcut])
    return x


def _conv_bn_relu(x: KerasTensor, name: str, filters: int, kernel: int, strides: int = 1) -> KerasTensor:
    x = layers.Conv2D(filters, kernel, strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(epsilon=BN_EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(6, name=f"{name}_relu")(x)


def reference_names(width: float, depth: float) -> dict[str, tuple[str, str]]:
    """Map the stem of each pair of Keras layer names to the reference's (convolution, normalisation)."""
    names = {"stem": ("_conv_stem", "_bn0"), "top": ("_conv_head", "_bn1")}
    for index, (block, stage, _, _) in enumerate(_blocks(width, depth)):
        prefix = f"_blocks.{index}"
        if stage.expand > 1:
            names[f"{block}_expand"] = (f"{prefix}._expand_conv", f"{prefix}._bn0")
        names[f"{block}_depthwise"] = (f"{prefix}._depthwise_conv", f"{prefix}._bn1")
        names[f"{block}_project"] = (f"{prefix}._project_conv", f"{prefix}._bn2")
    return names

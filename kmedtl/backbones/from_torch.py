"""Put a state dict of torch into a Keras backbone, exactly, or say by name what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers

from kmedtl.backbones.spec import Backbone
from kmedtl.backbones.torch_layout import TorchLayout, canonical, is_counter, is_head, torch_names
from kmedtl.errors import UserError

# Of each kind of layer: Keras' variable → torch's tensor, and the order of its axes.
KINDS: dict[type, dict[str, tuple[str, tuple[int, ...]]]] = {
    layers.Conv2D: {"kernel": ("weight", (2, 3, 1, 0)), "bias": ("bias", (0,))},
    layers.DepthwiseConv2D: {"kernel": ("weight", (2, 3, 0, 1)), "bias": ("bias", (0,))},
    layers.BatchNormalization: {
        "gamma": ("weight", (0,)),
        "beta": ("bias", (0,)),
        "moving_mean": ("running_mean", (0,)),
        "moving_variance": ("running_var", (0,)),
    },
}
Values = dict[str, np.ndarray]  # of a layer, by variable


@dataclass(frozen=True)
class Filled:
    """What became of a file: tensors that are left out, what was changed, and channels of its first convolution."""

    left_out: tuple[str, ...]
    adaptations: tuple[str, ...]
    channels: int = 3


@dataclass(frozen=True)
class _Tensors:
    """Tensors by canonical name, and what the file calls them."""

    path: Path
    values: Mapping[str, np.ndarray]
    called: Mapping[str, str]


def fill_from_torch(
    model: keras.Model, row: Backbone, layout: TorchLayout, path: Path, tensors: Mapping[str, np.ndarray]
) -> Filled:
    """Set all weights of a backbone (`build_backbone`) from the tensors of a file, by torch's names.

    Raises:
        UserError: tensors that are missing, left over, of another shape, not finite, or variances below 0.
    """
    weighted = [layer for layer in model.layers if layer.weights]
    modules = torch_names(layout, row, (layer.name for layer in weighted))
    found, left_out = _sorted_out(path, {name: canonical(layout, name) for name in tensors}, tensors)
    without_bias = _check_names(found, row, weighted, modules, layout.without_bias)
    values = {layer.name: _of_layer(found, layer, modules[layer.name]) for layer in weighted}
    channels = _widen_stem(weighted[0], values[weighted[0].name])
    other_epsilon = [layer for layer in weighted if _rescale(layer, values[layer.name], layout.epsilon)]
    _assign(found, weighted, values, modules)
    adaptations = (
        (channels == 1, "the first convolution takes one channel: divided by three and repeated, exactly"),
        (other_epsilon, f"BatchNorm with another epsilon than {layout.epsilon:g}: scale adapted, exactly"),
        (without_bias, "convolutions without a bias get one of 0, exactly"),
        (layout.differs, layout.differs),
    )
    return Filled(left_out, tuple(text for applies, text in adaptations if applies), channels)


def _sorted_out(
    path: Path, canonical_names: Mapping[str, str], tensors: Mapping[str, np.ndarray]
) -> tuple[_Tensors, tuple[str, ...]]:
    """Return the backbone's tensors, and the names of the head's.

    Raises:
        UserError: two tensors that stand for one.
    """
    called: dict[str, str] = {}
    for name, own in canonical_names.items():
        if is_counter(own) or is_head(own):
            continue
        if own in called:
            raise UserError(
                f"{path}: {called[own]} and {name} stand for the same tensor; give the weights of one model."
            )
        called[own] = name
    left_out = tuple(name for name, own in canonical_names.items() if is_head(own) and not is_counter(own))
    return _Tensors(path, {own: tensors[name] for own, name in called.items()}, called), left_out


def _check_names(
    found: _Tensors, row: Backbone, weighted: list[keras.Layer], modules: Mapping[str, str], without_bias: bool
) -> bool:
    """Refuse tensors that are missing or left over; return whether biases of convolutions are missing that may.

    Raises:
        UserError: the first of each is named.
    """
    wanted = {f"{modules[layer.name]}.{suffix}" for layer in weighted for suffix in _suffixes(layer)}
    biases = {f"{modules[layer.name]}.bias" for layer in weighted if without_bias and not _is_batch_norm(layer)}
    absent = wanted - found.values.keys()
    missing = sorted(absent - biases)
    unknown = [found.called[name] for name in found.values if name not in wanted]
    told = [
        f"{len(names)} {what}, first: {names[0]}"
        for names, what in ((missing, "of its tensors are missing"), (unknown, "are none of its tensors"))
        if names
    ]
    if told:
        raise UserError(
            f"{found.path}: no weights of {row.name}: {'; '.join(told)}; choose the --backbone that was trained, and "
            "give nothing but its weights."
        )
    return bool(absent)


def _of_layer(found: _Tensors, layer: keras.Layer, module: str) -> Values:
    """Return a layer's values in Keras' order of axes.

    Raises:
        UserError: a tensor of another shape or kind, or with a value that it cannot have.
    """
    values = {}
    for variable in layer.weights:
        suffix, axes = KINDS[type(layer)][variable.name]
        name = f"{module}.{suffix}"
        if name not in found.values:  # a bias, as `_check_names` saw
            values[variable.name] = np.zeros(variable.shape, np.float32)
            continue
        tensor = found.values[name]
        called = f"{found.path}: {found.called[name]}"
        if tensor.dtype.kind != "f" or tensor.ndim != len(axes):
            raise UserError(f"{called}: expected floats of {len(axes)} axes. Received: {tensor.dtype}, {tensor.shape}.")
        with np.errstate(over="ignore"):  # to infinity, which is refused
            values[variable.name] = tensor.transpose(axes).astype(np.float32)
        check_values(called, variable.name, values[variable.name])
    return values


def check_values(called: str, variable: str, values: np.ndarray) -> None:
    """Refuse numbers that no trained layer has.

    Args:
        called: what a message calls the tensor.
        variable: Keras' name of it.

    Raises:
        UserError: a value that is not finite, or a variance below 0.
    """
    if not np.isfinite(values).all():
        raise UserError(
            f"{called}: expected finite numbers. Received: NaN or infinity; use a file of a sound training."
        )
    if variable == "moving_variance" and (values < 0).any():  # 0 is that of a channel that is always off
        raise UserError(
            f"{called}: expected variances of 0 or more. Received: {values.min():g}; use a file of a sound training."
        )


def _widen_stem(stem: keras.Layer, values: Values) -> int:
    """Let a first convolution of one channel take three alike; return how many it had.

    A third of the kernel on each of three equal channels is the whole kernel on one.
    """
    channels, wanted = values["kernel"].shape[2], stem.kernel.shape[2]
    if channels == 1:
        values["kernel"] = np.repeat(values["kernel"] / wanted, wanted, axis=2)
    return channels


def _rescale(layer: keras.Layer, values: Values, epsilon: float) -> bool:
    """Let BatchNorm answer with Keras' epsilon as it did with torch's; return whether it had to change.

    The scale is changed rather than the variance: that one may be smaller than the difference of both.
    """
    if not _is_batch_norm(layer) or layer.epsilon == epsilon:
        return False
    variance = values["moving_variance"].astype(np.float64)
    values["gamma"] = values["gamma"] * np.sqrt((variance + layer.epsilon) / (variance + epsilon))
    return True


def _assign(
    found: _Tensors, weighted: list[keras.Layer], values: Mapping[str, Values], modules: Mapping[str, str]
) -> None:
    """Set the weights.

    Raises:
        UserError: a tensor of another shape.
    """
    for layer in weighted:
        for variable in layer.weights:
            array = values[layer.name][variable.name]
            if array.shape != tuple(variable.shape):
                name = f"{modules[layer.name]}.{KINDS[type(layer)][variable.name][0]}"
                raise UserError(
                    f"{found.path}: {found.called[name]}: expected the shape {tuple(variable.shape)}, in Keras' order. "
                    f"Received: {array.shape}; choose the --backbone that was trained."
                )
            variable.assign(array.astype(np.float32))


def _suffixes(layer: keras.Layer) -> list[str]:
    return [KINDS[type(layer)][variable.name][0] for variable in layer.weights]


def _is_batch_norm(layer: keras.Layer) -> bool:
    return isinstance(layer, layers.BatchNormalization)

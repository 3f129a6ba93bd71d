"""Put weights that Keras wrote into a backbone, without the head that stood on it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from kmedtl.backbones.from_torch import Filled, check_values
from kmedtl.backbones.spec import Backbone
from kmedtl.backbones.weights import load_file
from kmedtl.errors import UserError
from kmedtl.vetting.hdf5 import check_hdf5
from kmedtl.vetting.keras_files import check_keras

LayerArrays = tuple[str, Sequence[np.ndarray]]  # a layer's name and its weights


def fill_from_keras(model: keras.Model, row: Backbone, path: Path) -> Filled:
    """Set all weights of a backbone (`build_backbone`) from a `.keras`, `.weights.h5` or older `.h5` file.

    Layers are matched in their order, which Keras keeps; dense layers at the end are left out.

    Raises:
        UserError: a file that is damaged, holds more than weights of this backbone and a head, or has values that no
            trained layer has.
    """
    if path.name.endswith(".weights.h5"):
        load_file(model, row, path)
        left_out = _dense_only(path, row, _left_over(path, model))
    else:
        left_out = _assign(model, row, path, list(_of_archive(path) if path.suffix == ".keras" else _of_legacy(path)))
    for layer in _flat(model):
        if not isinstance(layer, keras.layers.Normalization):  # which `build_features` sets
            for variable in layer.weights:
                check_values(f"{path}: {layer.name}/{variable.name}", variable.name, np.asarray(variable))
    return Filled(left_out, ())


def _assign(model: keras.Model, row: Backbone, path: Path, given: Sequence[LayerArrays]) -> tuple[str, ...]:
    """Set the weights layer by layer; return the names of those that are left.

    Raises:
        UserError: layers that differ, in number or shape, or that are no head.
    """
    taking = [layer for layer in _flat(model) if layer.weights]
    if len(given) < len(taking):
        raise UserError(
            f"{path}: no weights of {row.name}: expected {len(taking)} layers with weights. Received: {len(given)}; "
            "choose the --backbone that was trained."
        )
    for layer, (name, arrays) in zip(taking, given[: len(taking)], strict=True):
        variables = [*layer.trainable_variables, *layer.non_trainable_variables]
        shapes, received = [tuple(variable.shape) for variable in variables], [array.shape for array in arrays]
        if shapes != received:
            raise UserError(
                f"{path}: no weights of {row.name}: {name}: expected the shapes {shapes}. Received: {received}; choose "
                "the --backbone that was trained."
            )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
    rest = given[len(taking) :]
    return _dense_only(path, row, [(name, bool(arrays) and arrays[0].ndim == 2) for name, arrays in rest])


def _dense_only(path: Path, row: Backbone, rest: Sequence[tuple[str, bool]]) -> tuple[str, ...]:
    """Return the names of layers after the backbone's.

    Args:
        rest: names, and whether they are dense.

    Raises:
        UserError: one of them is not dense.
    """
    other = [name for name, is_dense in rest if not is_dense]
    if other:
        raise UserError(
            f"{path}: no weights of {row.name}: {len(other)} layers are none of its own and no dense ones, first: "
            f"{other[0]}; choose the --backbone that was trained."
        )
    return tuple(name for name, _ in rest)


def _left_over(path: Path, model: keras.Model) -> list[tuple[str, bool]]:
    """Return the layers of a `.weights.h5` file that are none of the model's: (name, whether it is dense).

    Keras calls them there by their class and a number in it.
    """
    count: Counter[str] = Counter()
    own = set()
    for layer in model.layers:
        kind = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
        kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()
        own.add(f"{kind}_{count[kind]}" if count[kind] else kind)
        count[kind] += 1
    with h5py.File(path, "r") as file:
        layers = file.get("layers", {})
        return [(name, name.startswith("dense")) for name in layers if name not in own and _holds_arrays(layers[name])]


def _holds_arrays(group: h5py.Group) -> bool:
    return bool(group.visititems(lambda _, member: isinstance(member, h5py.Dataset) or None))


def _of_archive(path: Path) -> Iterator[LayerArrays]:
    """Yield the layers with weights of a `.keras` file, looked at first and loaded in safe mode.

    Raises:
        UserError: it holds more than a classifier needs, or does not load so.
    """
    check_keras(path)
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, OSError, TypeError, KeyError, AttributeError, IndexError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a Keras model that loads in safe mode ({reason}); export it anew.") from None
    for layer in _flat(model):
        if layer.weights:
            arrays = [np.asarray(v) for v in (*layer.trainable_variables, *layer.non_trainable_variables)]
            yield layer.name, arrays


def _of_legacy(path: Path) -> Iterator[LayerArrays]:
    """Yield the layers with weights of an `.h5` file, of weights or of a whole model.

    Raises:
        UserError: it is damaged, or lists no layers.
    """
    try:
        check_hdf5(path, path)
        with h5py.File(path, "r") as file:
            weights = file.get("model_weights", file)
            for name in _listed(weights, "layer_names"):
                arrays = [weights[name][variable][()] for variable in _listed(weights[name], "weight_names")]
                if arrays:
                    yield name, arrays
    except (ValueError, KeyError, OSError, RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: no weights that Keras wrote ({reason}); save them anew.") from None


def _listed(group: Any, attribute: str) -> list[str]:
    """Return the names that an attribute lists; long lists are kept in several (`layer_names0`, …)."""
    found = [group.attrs[attribute]] if attribute in group.attrs else []
    while not found or f"{attribute}{len(found)}" in group.attrs:
        if f"{attribute}{len(found)}" not in group.attrs:
            raise KeyError(f"no {attribute}")
        found.append(group.attrs[f"{attribute}{len(found)}"])
    return [name.decode() if isinstance(name, bytes) else str(name) for part in found for name in part]


def _flat(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers of a model, those of models inside it in their place."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _flat(layer)
        else:
            yield layer

"""A `.keras` file is an archive of a graph and weights: the graph may name only the layers that a classifier needs."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kmedtl.errors import UserError
from kmedtl.vetting.hdf5 import check_hdf5

CONFIG, METADATA, WEIGHTS, DOCUMENT = "config.json", "metadata.json", "model.weights.h5", "kmedtl.json"
LARGEST = 32_000_000  # bytes of the graph; the largest backbone's has 2 MB
LAYERS = """
    Activation Add Average AveragePooling2D BatchNormalization Concatenate Conv2D Cropping2D Dense DepthwiseConv2D
    Dot Dropout ELU Embedding Flatten GlobalAveragePooling2D GlobalMaxPooling2D GroupNormalization InputLayer
    LayerNormalization LeakyReLU MaxPooling2D Multiply Normalization PReLU Permute ReLU Rescaling Reshape Resizing
    SeparableConv2D Softmax SpatialDropout2D Subtract UnitNormalization UpSampling2D ZeroPadding2D
"""
INITIALIZERS = """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform Ones RandomNormal RandomUniform
    TruncatedNormal VarianceScaling Zeros
"""
OPERATIONS = """
    Abs Add Clip Concatenate Divide Dot Einsum Exp ExpandDims Log Log1p Matmul Max Maximum Mean Min Minimum Multiply
    Negative Power Reciprocal Reshape Sqrt Square Squeeze Stack Subtract Sum Take Tanh Transpose TrueDivide
"""
ACTIVATIONS = "Gelu LogSigmoid LogSoftmax Relu Relu6 Sigmoid Silu Softmax Softplus"
ALLOWED = {
    None: {"__keras_tensor__", "__tuple__"},
    "keras": {"DTypePolicy", "Sequential"},
    "keras.layers": set(LAYERS.split()),
    "keras.initializers": set(INITIALIZERS.split()),
    "keras.regularizers": {"L1", "L1L2", "L2"},
    "keras.src.models.functional": {"Functional"},
    "keras.src.ops.numpy": set(OPERATIONS.split()),
    "keras.src.ops.math": {"Logsumexp", "Rsqrt", "TopK"},
    "keras.src.ops.nn": set(ACTIVATIONS.split()),
    "keras.src.applications.convnext": {"LayerScale"},
    "keras.src.applications.inception_resnet_v2": {"CustomScaleLayer"},
}


def check_keras(path: Path) -> None:
    """Refuse a `.keras` file that holds more than a classifier needs; Keras' safe mode comes on top of this.

    Raises:
        UserError: no archive, a member that is none of a model's, an object that is not allowed, weights that point
            elsewhere or expand, or a graph that is too large or too deep.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            _check_members(path, members)
            config = json.loads(archive.read(CONFIG))
            for module, name, registered in _objects(config):
                _check_object(path, module, name, registered)
            with archive.open(WEIGHTS) as weights:
                check_hdf5(path, io.BytesIO(weights.read()))
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: not a Keras archive that can be read ({_one_line(error)}); export it anew.") from None
    except ValueError as error:
        raise UserError(f"{path}: its {CONFIG} is damaged ({_one_line(error)}); export it anew.") from None


def _check_members(path: Path, members: dict[str, zipfile.ZipInfo]) -> None:
    for name, member in members.items():
        if name not in (CONFIG, METADATA, WEIGHTS, DOCUMENT):
            raise UserError(f"{path}: holds '{name}', which is no part of a kmedtl model; use a file of known origin.")
        stored = name == WEIGHTS and member.compress_type == zipfile.ZIP_STORED
        if not stored and (name == WEIGHTS or member.file_size > LARGEST):
            raise UserError(
                f"{path}: its {name} expands to {member.file_size} bytes; expected weights that are stored as they are "
                f"and a graph of at most {LARGEST} bytes; use a file of known origin."
            )
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others expand before they are cut
            raise UserError(f"{path}: its {name} is packed in an unusual way; use a file of known origin.")


def _objects(node: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (module, class, registered name) of all that Keras would make of a configuration."""
    todo = [node]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            if "class_name" in part or "module" in part or "registered_name" in part:
                yield part.get("module"), part.get("class_name"), part.get("registered_name")
            todo.extend(part.values())
        elif isinstance(part, list):
            todo.extend(part)


def _check_object(path: Path, module: Any, name: Any, registered: Any) -> None:
    known = isinstance(module, str | None) and isinstance(name, str) and name in ALLOWED.get(module, ())
    if not known or registered not in (None, name):
        called = ".".join(str(part) for part in (module, name) if part)
        raise UserError(
            f"{path}: holds '{called}'{f' as {registered!r}' if registered not in (None, name) else ''}, which no "
            "kmedtl model does and which may do more than answer; open no model of unknown origin."
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

"""Weights as torch and safetensors write them, made of a Keras model's own without torch: what the import undoes."""

from __future__ import annotations

import io
import json
import pickle
import re
import struct
import zipfile
from collections import OrderedDict

import keras
import numpy as np

EPSILON = 1e-5  # of torch's BatchNorm
ALIKE = {"float16": "Half", "float32": "Float", "float64": "Double", "int64": "Long", "int32": "Int"}


def densenet_name(layer):
    if layer == "bn":
        return "norm5"
    if match := re.fullmatch(r"conv1_(conv|bn)", layer):
        return {"conv": "conv0", "bn": "norm0"}[match[1]]
    if match := re.fullmatch(r"pool(\d)_(conv|bn)", layer):
        return f"transition{int(match[1]) - 1}.{ {'conv': 'conv', 'bn': 'norm'}[match[2]] }"
    block, number, part = re.fullmatch(r"conv(\d)_block(\d+)_(.*)", layer).groups()
    inner = {"0_bn": "norm1", "1_conv": "conv1", "1_bn": "norm2", "2_conv": "conv2"}[part]
    return f"denseblock{int(block) - 1}.denselayer{number}.{inner}"


def resnet_name(layer):
    if match := re.fullmatch(r"conv1_(conv|bn)", layer):
        return f"{match[1]}1"
    stage, block, part, kind = re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", layer).groups()
    inner = f"{kind}{part}" if part != "0" else {"conv": "downsample.0", "bn": "downsample.1"}[kind]
    return f"layer{int(stage) - 1}.{int(block) - 1}.{inner}"


def mobilenet_name(layer):
    fixed = {"Conv1": "0.0", "bn_Conv1": "0.1", "Conv_1": "18.0", "Conv_1_bn": "18.1"}
    if layer in fixed:
        return fixed[layer]
    if match := re.fullmatch(r"expanded_conv_(\w+)", layer):
        places = {"depthwise": "0.0", "depthwise_BN": "0.1", "project": "1", "project_BN": "2"}
        return f"1.conv.{places[match[1]]}"
    number, part = re.fullmatch(r"block_(\d+)_(\w+)", layer).groups()
    parts = ("expand", "expand_BN", "depthwise", "depthwise_BN", "project", "project_BN")
    return f"{int(number) + 1}.conv.{dict(zip(parts, ('0.0', '0.1', '1.0', '1.1', '2', '3'), strict=True))[part]}"


def randomised(model, seed=0):
    """Give BatchNorm statistics that matter, biases of convolutions 0, and return the model."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.beta.shape[0]
            scale = [rng.uniform(0.5, 1.5, size)] if layer.scale else []
            layer.set_weights([*scale, *rng.normal(0, 0.1, (2, size)), rng.uniform(0.5, 1.5, size)])
    return model


def state_dict_of(model, name_of, prefix="", biases=False, epsilon=EPSILON):
    """Return what torch would call the weights of a Keras backbone, in the order of its names, with a head.

    The variances are those with which torch's epsilon gives what Keras' gives.
    """
    tensors = {}
    for layer in model.layers:
        weights, name = [np.asarray(weight) for weight in layer.weights], layer.name
        if not weights:
            continue
        module = f"{prefix}{name_of(name)}"
        if isinstance(layer, keras.layers.BatchNormalization):
            parts = ("weight", "bias", "running_mean", "running_var")
            weights[3] = weights[3] + layer.epsilon - epsilon
            tensors |= {f"{module}.{part}": weight for part, weight in zip(parts, weights, strict=True)}
            tensors[f"{module}.num_batches_tracked"] = np.array(7)
        else:
            axes = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (3, 2, 0, 1)
            tensors[f"{module}.weight"] = weights[0].transpose(axes)
            if biases:
                tensors[f"{module}.bias"] = weights[1]
    return {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}


def head(name, features, classes=14):
    return {f"{name}.weight": np.ones((classes, features), "f4"), f"{name}.bias": np.ones(classes, "f4")}


def write_safetensors(path, tensors, **header):
    kinds = {"float16": "F16", "float32": "F32", "float64": "F64", "int64": "I64"}
    entries, content = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        begin, content = len(content), content + tensor.tobytes()
        entries[name] = {
            "dtype": kinds[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [begin, len(content)],
        }
    text = json.dumps(entries | header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
    return path


class _Global:
    """Pickled as a name of another module, which need not be there."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Storage:
    """The values of a tensor, which lie elsewhere in the file under a key."""

    def __init__(self, key, array):
        self.key, self.array = key, array


class Tensor:
    """A tensor of a storage; without shape and strides the whole of it."""

    def __init__(self, storage, shape=None, strides=None):
        array = storage.array
        self.storage, self.shape = storage, array.shape if shape is None else shape
        self.strides = tuple(step // array.itemsize for step in array.strides) if strides is None else strides


class Parameter:
    """A tensor that trains, as torch wraps it."""

    def __init__(self, tensor):
        self.tensor = tensor


class _TorchPickler(pickle._Pickler):
    """The standard library's pickler in Python, which writes torch's names without torch."""

    extra = ()

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        kind = _Global("torch", f"{ALIKE[value.array.dtype.name]}Storage")
        return ("storage", kind, value.key, "cpu", value.array.size, *self.extra)

    def save(self, value, save_persistent_id=True):
        if isinstance(value, _Global):
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Parameter):
            self.save(_Global("torch._utils", "_rebuild_parameter"))
            self.save((value.tensor, True, OrderedDict()))
            self.write(pickle.REDUCE)
        elif isinstance(value, Tensor):
            self.save(_Global("torch._utils", "_rebuild_tensor_v2"))
            self.save((value.storage, 0, value.shape, value.strides, False, OrderedDict()))
            self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)


class _LegacyPickler(_TorchPickler):
    extra = (None,)


def pickled(value, pickler=_TorchPickler):
    out = io.BytesIO()
    pickler(out, 2).dump(value)
    return out.getvalue()


def write_torch(path, tensors, inside=None, compression=zipfile.ZIP_STORED):
    """Write a zip as torch does; `inside` puts the state dict into a checkpoint."""
    storages = [Storage(str(number), np.array(tensor, order="C")) for number, tensor in enumerate(tensors.values())]
    state = OrderedDict((name, Tensor(storage)) for name, storage in zip(tensors, storages, strict=True))
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(inside(state) if inside else state))
        archive.writestr("archive/byteorder", "little")
        for storage in storages:
            archive.writestr(f"archive/data/{storage.key}", storage.array.tobytes())
        archive.writestr("archive/version", "3\n")
    return path


def write_legacy_torch(path, tensors):
    storages = [Storage(str(number), np.array(tensor, order="C")) for number, tensor in enumerate(tensors.values())]
    state = OrderedDict((name, Tensor(storage)) for name, storage in zip(tensors, storages, strict=True))
    sizes = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts = [0x1950A86A20F9469CFC6C, 1001, sizes, state, [storage.key for storage in storages]]
    content = b"".join(pickled(part, _LegacyPickler) for part in parts)
    for storage in storages:
        content += struct.pack("<q", storage.array.size) + storage.array.tobytes()
    path.write_bytes(content)
    return path

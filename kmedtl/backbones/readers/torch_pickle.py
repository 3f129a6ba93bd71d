"""Unpickle what `torch.save` writes of tensors, and nothing else.

A pickle can run any code, so the unpickler knows a few names and refuses every other. What it makes of them are plain
descriptions: which part of which storage a tensor is. No value of theirs is trusted before it is used.
"""

from __future__ import annotations

import math
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np

LARGEST = 16_000_000  # bytes of pickles; those of the largest backbone have 300,000
NESTED = ("state_dict", "model", "model_state_dict")  # where a checkpoint keeps the state dict


@dataclass(frozen=True)
class Storage:
    """A run of `size` values, which the file holds elsewhere under its key."""

    key: str
    dtype: np.dtype
    size: int


@dataclass(frozen=True)
class View:
    """A tensor: the values of a storage from `offset` on, by shape and strides, both counted in values."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage: Storage, offset: int, shape: tuple, strides: tuple, *_: Any) -> View:
    return View(storage, offset, shape, strides)


def _rebuild_parameter(view: View, *_: Any) -> View:
    return view


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch", "HalfStorage"): "<f2",
    ("torch", "FloatStorage"): "<f4",
    ("torch", "DoubleStorage"): "<f8",
    ("torch", "IntStorage"): "<i4",
    ("torch", "LongStorage"): "<i8",
}


class _TensorsOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"a weights file may hold tensors only. Received: {module}.{name}")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise pickle.UnpicklingError("expected references to storages")
        _, dtype, key, _, size, *_ = pid
        if not isinstance(dtype, str) or not isinstance(key, str) or not _is_count(size):
            raise pickle.UnpicklingError("expected storages of numbers, with a key and a size")
        return Storage(key, np.dtype(dtype), size)


def unpickle(stream: BytesIO) -> Any:
    """Return what the next pickle of the stream holds.

    Raises:
        pickle.UnpicklingError: it names anything but tensors.
        ValueError, and whatever a damaged pickle raises (`state_dict.DAMAGED`): it is none.
    """
    begin, size = stream.tell(), stream.getbuffer().nbytes
    for opcode, argument, _ in pickletools.genops(stream):
        if "PUT" in opcode.name and (argument or 0) > size:  # a table of so many places would be made
            raise ValueError(f"expected a place below {size}. Received: {argument}")
    stream.seek(begin)
    return _TensorsOnly(stream).load()


def views_of(content: Any) -> dict[str, View]:
    """Return the tensors of an unpickled state dict, or of one inside a checkpoint, by name.

    Raises:
        ValueError: it is none, or holds something else among its tensors.
    """
    while isinstance(content, dict) and not any(isinstance(value, View) for value in content.values()):
        inner = next((content[name] for name in NESTED if isinstance(content.get(name), dict)), None)
        if inner is None or inner is content:
            break
        content = inner
    if not isinstance(content, dict) or not content:
        raise ValueError("expected a state dict: tensors by name")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, View) or not isinstance(value.storage, Storage):
            raise ValueError(f"expected a state dict: tensors by name. Received: {name!r:.80}, no tensor")
    return dict(content)


def tensors_of(views: Mapping[str, View], storages: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return arrays, which share the storages' memory, by name.

    Raises:
        ValueError, KeyError: a tensor that its storage does not hold.
    """
    return {name: _tensor(view, storages[view.storage.key]) for name, view in views.items()}


def _tensor(view: View, storage: np.ndarray) -> np.ndarray:
    counts = (view.offset, *view.shape, *view.strides)
    if len(counts) > 17 or not all(map(_is_count, counts)) or len(view.shape) != len(view.strides):  # 8 dimensions
        raise ValueError(f"expected a shape and strides of whole numbers. Received: {counts!r:.80}")
    if 0 in view.shape or math.prod(view.shape) > len(storage):
        raise ValueError(f"expected a tensor of 1 to {len(storage)} values. Received: the shape {view.shape}")
    last = view.offset + sum((n - 1) * step for n, step in zip(view.shape, view.strides, strict=True))
    if last >= len(storage):
        raise ValueError(f"expected a tensor within its storage of {len(storage)} values. Received: index {last}")
    steps = [step * storage.itemsize for step in view.strides]
    return np.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, steps, writeable=False)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**40

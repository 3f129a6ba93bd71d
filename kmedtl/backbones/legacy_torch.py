"""Read a legacy (before zip, PyTorch < 1.6) state dict with numpy alone, and nothing but tensors from it.

The file is a row of pickles – magic number, protocol, byte order and sizes, the state dict, the storage keys –
and then each storage's raw bytes, led by an int64 count. A pickle can run any code, so the unpickler knows four
names and refuses every other.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype
    size: int


@dataclass(frozen=True)
class _View:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any) -> _View:
    return _View(storage, offset, shape, strides)


_ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _TensorsOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"a weights file may hold tensors only. Received: {module}.{name}")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: tuple) -> _Storage:
        _, dtype, key, _, size, _ = pid
        return _Storage(key, dtype, size)


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Return every tensor of the file by its name, as float32 or int64 arrays.

    Raises pickle.UnpicklingError if the file is not a legacy state dict or holds anything but tensors, and
    ValueError if it is cut short.
    """
    with path.open("rb") as file:
        if _TensorsOnly(file).load() != MAGIC:
            raise pickle.UnpicklingError(f"expected a legacy torch file. Received: {path.name}")
        _protocol, _sizes = _TensorsOnly(file).load(), _TensorsOnly(file).load()
        views = _TensorsOnly(file).load()
        dtypes = {view.storage.key: view.storage.dtype for view in views.values()}
        storages = {key: _read_storage(file, dtypes[key]) for key in _TensorsOnly(file).load()}
    return {name: _tensor(view, storages[view.storage.key]) for name, view in views.items()}


def _read_storage(file: BinaryIO, dtype: np.dtype) -> np.ndarray:
    size = int.from_bytes(file.read(8), "little")
    return np.frombuffer(file.read(size * dtype.itemsize), dtype, count=size)


def _tensor(view: _View, storage: np.ndarray) -> np.ndarray:
    last = view.offset + sum((n - 1) * step for n, step in zip(view.shape, view.strides, strict=True))
    if not 0 <= last < len(storage):
        raise ValueError(f"expected a tensor within its storage of {len(storage)} values. Received: index {last}")
    steps = [step * storage.itemsize for step in view.strides]
    return np.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, steps, writeable=False).copy()

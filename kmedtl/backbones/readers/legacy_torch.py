"""Read a legacy (before zip, PyTorch < 1.6) state dict with NumPy alone, and nothing but tensors from it.

The file is a row of pickles – magic number, protocol, byte order and sizes, the state dict, the storage keys –
and then each storage's raw bytes, led by an int64 count.
"""

from __future__ import annotations

import pickle
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from kmedtl.backbones.readers.torch_pickle import LARGEST, Storage, tensors_of, unpickle, views_of

MAGIC = 0x1950A86A20F9469CFC6C


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Return every tensor of the file by its name, in the type that it is kept in (read-only).

    Raises:
        pickle.UnpicklingError: the file is no legacy state dict, or holds anything but tensors.
        ValueError, KeyError: it is cut short, or contradicts itself.
    """
    with path.open("rb") as file:
        head = BytesIO(file.read(LARGEST))
        if unpickle(head) != MAGIC:
            raise pickle.UnpicklingError(f"expected a legacy torch file. Received: {path.name}")
        _protocol, _sizes = unpickle(head), unpickle(head)
        views = views_of(unpickle(head))
        keys = unpickle(head)
        file.seek(head.tell())
        known = {view.storage.key: view.storage for view in views.values()}
        storages = {key: _read_storage(file, known[key]) for key in keys}
    return tensors_of(views, storages)


def _read_storage(file: BinaryIO, storage: Storage) -> np.ndarray:
    size = int.from_bytes(file.read(8), "little")
    if size != storage.size:
        raise ValueError(f"expected a storage of {storage.size} values. Received: {size}")
    return np.frombuffer(file.read(size * storage.dtype.itemsize), storage.dtype, count=size)

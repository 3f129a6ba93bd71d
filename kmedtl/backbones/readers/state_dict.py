"""A state dict from a file of any kind that torch or safetensors write."""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kmedtl.backbones.readers import legacy_torch, zipped_torch
from kmedtl.backbones.readers.safetensors import read_safetensors
from kmedtl.errors import UserError

LARGEST = 4_000_000_000  # bytes; the largest backbone has 1,400,000,000
DAMAGED = (  # what reading a file that contradicts itself may raise
    ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError, MemoryError, RecursionError,
    OSError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile, pickle.UnpicklingError,
)  # fmt: skip


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return every tensor of a `.safetensors`, `.pt` or `.pth` file by its name.

    Raises:
        UserError: it is too large or damaged, or holds anything but tensors.
    """
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path}: expected weights of at most {LARGEST} bytes; use a file of weights alone.")
    try:
        return READERS[path.suffix](path)
    except DAMAGED as error:
        reason = " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__
        raise UserError(
            f"{path}: no weights that can be read ({reason}); save the state dict alone, as safetensors or with "
            "torch.save(model.state_dict(), FILE)."
        ) from None


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    reader = zipped_torch if zipfile.is_zipfile(path) else legacy_torch
    return reader.read_state_dict(path)


READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    ".safetensors": read_safetensors,
    ".pt": _read_torch,
    ".pth": _read_torch,
}

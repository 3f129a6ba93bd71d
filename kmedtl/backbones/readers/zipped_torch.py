"""Read a torch file (PyTorch from 1.6 on) with NumPy alone, and nothing but tensors from it.

The file is a zip of one folder: `data.pkl`, the state dict, and `data/KEY`, each storage's raw bytes, all of them
stored as they are.
"""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np

from kmedtl.backbones.readers.torch_pickle import LARGEST, Storage, tensors_of, unpickle, views_of

PICKLE = "data.pkl"


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Return every tensor of the file by its name, in the type that it is kept in (read-only).

    Raises:
        pickle.UnpicklingError: it holds anything but tensors.
        ValueError, KeyError, zipfile.BadZipFile: it is packed, cut short, or contradicts itself.
    """
    with zipfile.ZipFile(path) as archive:
        folder = _folder(archive)
        if f"{folder}byteorder" in archive.NameToInfo and _read(archive, f"{folder}byteorder", 10) != b"little":
            raise ValueError("expected numbers in little-endian order")
        views = views_of(unpickle(BytesIO(_read(archive, folder + PICKLE, LARGEST))))
        known = {view.storage.key: view.storage for view in views.values()}
        # Members may overlap, and one stand for many.
        if sum(storage.size * storage.dtype.itemsize for storage in known.values()) > path.stat().st_size:
            raise ValueError("its tensors have more bytes than the file")
        storages = {key: _read_storage(archive, folder, storage) for key, storage in known.items()}
    return tensors_of(views, storages)


def _folder(archive: zipfile.ZipFile) -> str:
    """Return the archive's folder with its slash."""
    found = [name for name in archive.namelist() if name == PICKLE or name.endswith(f"/{PICKLE}")]
    if len(found) != 1:
        raise ValueError(f"expected one {PICKLE}. Received: {len(found)}")
    return found[0].removesuffix(PICKLE)


def _read_storage(archive: zipfile.ZipFile, folder: str, storage: Storage) -> np.ndarray:
    size = storage.size * storage.dtype.itemsize
    return np.frombuffer(_read(archive, f"{folder}data/{storage.key}", size), storage.dtype, count=storage.size)


def _read(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > most:
        raise ValueError(f"expected {name} stored as it is, of at most {most} bytes. Received: {member.file_size}")
    return archive.read(member)

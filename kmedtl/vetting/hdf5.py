"""An HDF5 file may point to other files and expand without end; weights are plain arrays inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import h5py

from kmedtl.errors import UserError


def check_hdf5(path: Path, content: Path | BinaryIO) -> None:
    """Refuse weights that hold anything but arrays of numbers, stored as they are.

    Args:
        path: what a message calls the file.
        content: the file, or what an archive holds of it.

    Raises:
        UserError: a link, an external or a virtual array, a compressed one, or one that is not stored.
        OSError, RuntimeError, KeyError, ValueError: as h5py says that it is no sound HDF5 file.
    """
    with h5py.File(content, "r") as file:
        _check_group(path, file, set())


def _check_group(path: Path, group: h5py.Group, seen: set[int]) -> None:
    address = h5py.h5o.get_info(group.id).addr
    if address in seen:  # a circle
        return
    seen.add(address)
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise _refusal(path, group, name, "a link to somewhere else")
        member = group[name]
        if isinstance(member, h5py.Group):
            _check_group(path, member, seen)
        else:
            _check_array(path, group, name, member)


def _check_array(path: Path, group: h5py.Group, name: str, member: Any) -> None:
    if not isinstance(member, h5py.Dataset) or member.dtype.kind not in "biuf":
        raise _refusal(path, group, name, "no array of numbers")
    if member.external or member.is_virtual:
        raise _refusal(path, group, name, "an array in another file")
    if member.id.get_create_plist().get_nfilters() or member.nbytes > member.id.get_storage_size():
        raise _refusal(path, group, name, f"an array of {member.nbytes} bytes that are not stored as they are")


def _refusal(path: Path, group: h5py.Group, name: str, what: str) -> UserError:
    return UserError(
        f"{path}: its weights hold {what}: {group.name.rstrip('/')}/{name}; expected arrays that Keras wrote, "
        "uncompressed; use a file of known origin."
    )

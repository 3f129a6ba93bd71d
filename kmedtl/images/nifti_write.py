"""Labels as a NIfTI file on the voxels of the volume that they are of. Needs nibabel."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kmedtl.errors import UserError, expect
from kmedtl.images.file_kinds import NIFTI_SUFFIXES, is_nifti
from kmedtl.images.nifti import load_nibabel
from kmedtl.images.volume import Volume, as_stored

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

# What a written file keeps of the header of the image; all else may hold free text.
_KEPT = (
    "pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
    "srow_x", "srow_y", "srow_z", "xyzt_units",
)  # fmt: skip


def write_nifti(labels: np.ndarray, like: Volume, path: Path) -> None:
    """Write labels as a NIfTI file with the voxel order, shape and affine of the file that `like` was read from.

    Of a DICOM volume the file's axes are columns, rows and slices, and the affine is rounded to float32. No text of the
    image's header is kept.

    Args:
        labels: whole numbers or bool, (slices, H, W) as `like.values`.
        path: `.nii` or `.nii.gz`; its folder exists.

    Raises:
        UserError: another shape, other numbers, another suffix, or the file cannot be written.
    """
    nib = load_nibabel()
    expect(is_nifti(path), "the file to write", " or ".join(NIFTI_SUFFIXES), path.suffix)
    expect(labels.shape == like.values.shape, "the labels' shape", like.values.shape, labels.shape)
    expect(labels.dtype.kind in "biu", "labels", "whole numbers", str(labels.dtype))
    stored = as_stored(_smallest(labels), like.grid)
    if like.grid.header:
        kind = nib.Nifti1Image if len(like.grid.header) == 348 else nib.Nifti2Image
        image = kind(stored, None, _header(like.grid.header, stored.dtype))
    else:
        affine = like.grid.affine[:, [2, 1, 0, 3]]
        image = nib.Nifti1Image(stored.transpose(2, 1, 0), affine)
        image.set_sform(affine, "scanner")
        image.set_qform(affine, "scanner")
        image.header.set_xyzt_units("mm")
    content = image.to_bytes()
    part = path.with_name(f".{path.name}.part")
    try:
        # Packed here: nibabel's own would write the file's name and the time into it.
        part.write_bytes(gzip.compress(content, mtime=0) if path.name.lower().endswith(".gz") else content)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"the file to write: expected a place to write to. Received: {error.strerror}.") from None


def _smallest(labels: np.ndarray) -> np.ndarray:
    """Return labels in the smallest type of three that viewers read."""
    low, high = int(labels.min()), int(labels.max())
    for dtype in (np.uint8, np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return labels.astype(dtype)
    raise UserError(f"labels: expected numbers of 32 bits. Received: {low} to {high}.")


def _header(block: bytes, dtype: np.dtype) -> Nifti1Header:
    """Return a new header, of labels, with what an image's header says of its place, bit for bit."""
    nib = load_nibabel()
    kind = nib.Nifti1Header if len(block) == 348 else nib.Nifti2Header
    order = "<" if int.from_bytes(block[:4], "little") == len(block) else ">"
    old, new = kind(block, endianness=order, check=False), kind()
    for name in _KEPT:
        new[name] = old[name]
    new.set_data_dtype(dtype)
    return new

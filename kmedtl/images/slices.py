"""A volume as a sequence of images: each slice as a model sees it, for training, evaluation and the scanner alike."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmedtl.images.file_kinds import is_nifti
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_image import Picture, from_array
from kmedtl.images.read_volume import read_blank_volume
from kmedtl.images.reading import Reading
from kmedtl.images.volume import Kind, Volume, arranged, refusal, spacing_of
from kmedtl.images.volume_window import HounsfieldWindow, PercentileWindow, VolumeWindow, levels

MODE, BITS = "VOLUME", 16  # what stands for the mode and the depth of a slice
MEMORY = 4_000_000_000  # bytes that reading the largest volume takes


@dataclass(frozen=True)
class SliceGrid:
    """How many slices a volume has, and how far apart they are in mm."""

    count: int
    spacing: float


def is_volume(path: str | Path) -> bool:
    """Tell whether a path is sliced where images are wanted: NIfTI is by its suffix, and so are folders, of a series.

    DICOM files are images.
    """
    return is_nifti(Path(path)) or os.path.isdir(path)


def slice_grid(path: str | Path) -> SliceGrid:
    """Return what the headers of a volume say of the slices that `read_volume` cuts it into; no voxel is read.

    Raises:
        UnreadableImageError, UserError: as of `read_volume`, as far as headers tell.
    """
    stored = read_blank_volume(path)
    return SliceGrid(stored.values.shape[stored.sliced], spacing_of(stored.affine)[stored.sliced])


def blank_volume(path: str | Path) -> Volume:
    """Return a volume with values of 0, uint8: where its voxels lie, for labels to be written there.

    Raises:
        UnreadableImageError, UserError: as of `slice_grid`.
    """
    return arranged(read_blank_volume(path))


def window_of(reading: Reading, kind: Kind) -> VolumeWindow:
    """Return the part of a volume's values that is seen: a window with numbers, in Hounsfield units, or percentiles.

    Raises:
        UnreadableImageError: a window that goes by its name, which no volume has.
    """
    window = reading.window
    if window.center is not None and window.width is not None:
        offset = reading.pixel_offset if kind == "nifti" else 0.0
        return HounsfieldWindow(window.center + offset, window.width)
    if window.name:
        remedy = "Set data.window.center and data.window.width, or neither"
        raise refusal("the window", "numbers, or percentiles of each volume", f"the name {window.name}", remedy)
    return PercentileWindow()


def pictures(volume: Volume, reading: Reading, indices: Iterable[int]) -> Iterator[Picture]:
    """Yield slices of a volume as images, as `read_image` yields those of files; one at a time is made.

    Raises:
        UnreadableImageError: an index beyond the volume, or as of `levels` and `window_of`.
    """
    shown = levels(volume, window_of(reading, volume.kind))
    count, height, width = shown.shape
    between, rows, columns = volume.spacing
    for index in indices:
        if not 0 <= index < count:
            raise UnreadableImageError(f"no slice {index}: the volume has {count}")
        pixels = from_array(_stacked(shown, index, reading.neighbours), reading)
        yield Picture(
            pixels, width, height, MODE, BITS, row_spacing=rows, column_spacing=columns, slice_spacing=between
        )


def _stacked(shown: np.ndarray, index: int, neighbours: int) -> np.ndarray:
    """Return a slice, uint8 (H, W), or with its neighbours as channels (H, W, 1 + 2 · neighbours)."""
    if not neighbours:
        return shown[index]
    near = np.clip(np.arange(index - neighbours, index + neighbours + 1), 0, len(shown) - 1)
    return np.moveaxis(shown[near], 0, -1)

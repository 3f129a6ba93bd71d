"""A DICOM Segmentation of a series' slices, as masks of the volume that the series is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from kmedtl.images.dicom_seg import references
from kmedtl.images.dicom_series import slice_images
from kmedtl.images.marks import Mark
from kmedtl.images.masks import MaskFile, read_segment_masks
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_volume import series_files
from kmedtl.images.volume import Volume, as_arranged


def masks_of_slices(path: Path, structures: Mapping[str, Mark], source: Path, like: Volume) -> list[MaskFile]:
    """Return what a Segmentation marks on each slice of a volume, (H, W) as `like.values` has it.

    A slice that it does not refer to has nothing marked, as long as it refers to any.

    Args:
        structures: as of `kmedtl.images.masks.read_mask`.
        source: the folder with the series that `like` was read from.

    Raises:
        UnreadableImageError: a volume that is no DICOM series, a Segmentation of other images, or as of `read_mask`.
    """
    if not source.is_dir():
        raise UnreadableImageError("a DICOM Segmentation, and the volume is no DICOM series; save it as NIfTI")
    images = slice_images(series_files(source))
    known = references(str(path))[0]
    if known and not known.intersection(image.uid for image in images):
        raise UnreadableImageError("a DICOM Segmentation of other images, by their SOPInstanceUID")
    _, height, width = like.grid.shape
    of_known = read_segment_masks(path, structures, [image for image in images if not known or image.uid in known])
    nothing = MaskFile({}, width, height, (), 0)
    found = [next(of_known) if not known or image.uid in known else nothing for image in images]
    stored = {
        name: np.stack([one.marked.get(name, np.zeros((height, width), bool)) for one in found])
        for name in dict.fromkeys(name for one in found for name in one.marked)
    }
    marked = {name: as_arranged(mask, like.grid) for name, mask in stored.items()}
    return [
        replace(
            found[len(found) - 1 - index if like.grid.flipped[0] else index],
            marked={name: mask[index] for name, mask in marked.items()},
            height=like.values.shape[1],
            width=like.values.shape[2],
        )
        for index in range(len(found))
    ]

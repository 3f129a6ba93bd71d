"""Decoding the masks of many images, in workers that may die of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from kmedtl.images.file_kinds import DICOM_SUFFIXES, is_dicom
from kmedtl.images.marks import Mark, SourceImage
from kmedtl.images.masks import MOST_VALUES, UNKNOWN, ImageMasks, Soft, read_masks
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_image import read_image
from kmedtl.images.reading import Reading
from kmedtl.images.workers import Failure, Job, in_workers

SECONDS = 60.0  # for the masks of one image, which may be hundreds
LOOK = Reading(64, 1)
ALIKE = 2.0  # gray levels: what saving a picture again changes on average at most


@dataclass(frozen=True)
class MaskedImage:
    """An image's file (`frame` as of `read_image`), and those of its masks."""

    path: str
    masks: tuple[str, ...]
    frame: int | None = None


@dataclass(frozen=True)
class MaskAnswer:
    """What an image's masks hold, and which of them is the image itself; "" if none is."""

    masks: ImageMasks
    itself: str = ""


def decode_masks(
    images: Sequence[MaskedImage], structures: Mapping[str, Mark], reading: Reading, soft: Soft
) -> Iterator[MaskAnswer | Failure]:
    """Yield what the masks of each image hold, in order, or why they cannot be read. Shows a progress bar.

    Raises:
        UserError: the workers cannot start.
    """
    work = partial(decode, structures=structures, reading=reading, soft=soft)
    has_dicom = any(Path(path).suffix.lower() in DICOM_SUFFIXES for image in images for path in image.masks)
    modules = ("kmedtl.images.dicom_seg",) if has_dicom else ()
    return in_workers(Job(work, SECONDS, modules), images, "Decoding masks")


def decode(image: MaskedImage, structures: Mapping[str, Mark], reading: Reading, soft: Soft) -> MaskAnswer | Failure:
    """Decode one image's masks here and now; `decode_masks` is for files that may be damaged."""
    try:
        found = read_masks(image.masks, structures, reading, soft, _source(image))
    except UnreadableImageError as error:
        return Failure(str(error))
    except MemoryError:
        return Failure("needs more memory than there is")
    rich = [path for path, file in found.files.items() if file.count > MOST_VALUES]
    return MaskAnswer(found, next((path for path in rich if _shows_the_same(path, image)), ""))


def _source(image: MaskedImage) -> SourceImage:
    """Return which image that is, where one of its masks may ask."""
    if not any(is_dicom(Path(path)) for path in image.masks):
        return UNKNOWN
    from kmedtl.images.dicom_seg import source_image  # pydicom is slow to import, and most sets have none

    return source_image(image.path, image.frame)


def _shows_the_same(mask: str, image: MaskedImage) -> bool:
    """Tell whether a file called a mask shows the image, if perhaps in another format."""
    try:
        one, other = read_image(mask, LOOK).pixels, read_image(image.path, LOOK, image.frame).pixels
    except UnreadableImageError:
        return False
    return bool(np.abs(one.astype(int) - other).mean() < ALIKE)

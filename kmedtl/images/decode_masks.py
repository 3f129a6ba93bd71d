"""Decoding the masks of many images, in workers that may die of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from kmedtl.images.file_kinds import DICOM_SUFFIXES, is_dicom
from kmedtl.images.marks import Mark, SourceImage, marks_of
from kmedtl.images.mask_values import MaskValues
from kmedtl.images.masks import MOST_VALUES, UNKNOWN, ImageMasks, MaskFile, Soft, marked_in, read_masks, united
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_image import read_image
from kmedtl.images.read_volume import read_mask_volume, read_volume
from kmedtl.images.reading import Reading
from kmedtl.images.slices import MEMORY, is_volume
from kmedtl.images.volume import Volume
from kmedtl.images.workers import MAX_MEMORY, Failure, Job, in_workers

SECONDS = 60.0  # for the masks of one image, which may be hundreds, or of one volume
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

    Slices of one volume that follow each other are decoded together: its masks are opened once for them.

    Raises:
        UserError: the workers cannot start.
    """
    work = partial(decode_together, structures=structures, reading=reading, soft=soft)
    together = [tuple(each) for _, each in groupby(images, _opened_once)]
    has_dicom = any(Path(path).suffix.lower() in DICOM_SUFFIXES for image in images for path in image.masks)
    modules = ("kmedtl.images.dicom_seg",) if has_dicom else ()
    job = Job(work, SECONDS, modules, MEMORY if any(is_volume(image.path) for image in images) else MAX_MEMORY)
    for group, answers in zip(together, in_workers(job, together, "Decoding masks"), strict=True):
        yield from [answers] * len(group) if isinstance(answers, Failure) else answers


def _opened_once(image: MaskedImage) -> tuple:
    """Return what is alike in neighbouring images whose masks are opened together."""
    return (image.path, image.masks) if is_volume(image.path) else (image.path, image.masks, image.frame)


def decode_together(
    images: Sequence[MaskedImage], structures: Mapping[str, Mark], reading: Reading, soft: Soft
) -> list[MaskAnswer | Failure] | Failure:
    """Decode the masks of an image, or of several slices of one volume, here and now."""
    if is_volume(images[0].path):
        return _of_volume(images, structures, reading)
    return [decode(image, structures, reading, soft) for image in images]


def _of_volume(
    images: Sequence[MaskedImage], structures: Mapping[str, Mark], reading: Reading
) -> list[MaskAnswer | Failure] | Failure:
    try:
        like = read_volume(images[0].path)
        paths = [path for path in images[0].masks if marks_of(path, structures)]
        slices = {path: _slices_of(path, structures, images[0].path, like) for path in paths}
        return [
            MaskAnswer(united({path: of(image.frame or 0) for path, of in slices.items()}, structures, reading))
            for image in images
        ]
    except UnreadableImageError as error:
        return Failure(str(error))
    except MemoryError:
        return Failure("needs more memory than there is")


def _slices_of(path: str, structures: Mapping[str, Mark], source: str, like: Volume) -> Callable[[int], MaskFile]:
    """Return what gives the mask of a slice of a volume."""
    if is_dicom(Path(path)):
        from kmedtl.images.dicom_seg import is_segmentation  # pydicom is slow to import, and most sets have none
        from kmedtl.images.seg_volume import masks_of_slices

        if is_segmentation(path):
            return masks_of_slices(Path(path), structures, Path(source), like).__getitem__
    labels, marks = read_mask_volume(path, like), marks_of(path, structures)
    return lambda index: marked_in(MaskValues(labels[index], is_colour=False, full=0, lossy=False), marks)


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

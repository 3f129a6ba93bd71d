"""One way from mask files to the structures that they mark, for training and evaluation alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from kmedtl.images.file_kinds import is_dicom
from kmedtl.images.marks import Mark, SourceImage, fitting, is_colour, is_pattern, marks_of, of_segment
from kmedtl.images.mask_values import MaskValues, distinct, is_soft, levels, read_values
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.placement import to_square
from kmedtl.images.reading import Reading

if TYPE_CHECKING:
    from kmedtl.images.dicom_seg import Segment

MOST_VALUES = 64  # of a file, that are listed
Soft = Literal["refuse", "threshold"]
UNKNOWN = SourceImage()


@dataclass(frozen=True)
class MaskFile:
    """What one file marks.

    Attributes:
        marked: structure → bool (H, W), of those that the file can mark.
        width, height: of the mask, upright, in pixels.
        values: those found, in order, at most `MOST_VALUES`; colours as `#rrggbb`, segments by their numbers.
        count: how many there are.
        unnamed: values that no structure has, 0 and black aside, at most `MOST_VALUES`.
        soft: values in between occur, and nothing said what to do with them.
    """

    marked: Mapping[str, np.ndarray]
    width: int
    height: int
    values: tuple[str, ...]
    count: int
    unnamed: tuple[str, ...] = ()
    soft: bool = False


@dataclass(frozen=True)
class ImageMasks:
    """What all mask files of one image mark.

    Attributes:
        planes: bool (size, size, M), as the image lies in its square, each pixel that of the nearest in the file.
        areas: of each structure, in pixels of the file.
        files: path → what is known of the file, its `marked` left out; of those that mark something alone.
    """

    planes: np.ndarray
    areas: tuple[int, ...]
    files: Mapping[str, MaskFile]


def read_masks(
    paths: Sequence[str],
    structures: Mapping[str, Mark],
    reading: Reading,
    soft: Soft = "refuse",
    image: SourceImage = UNKNOWN,
) -> ImageMasks:
    """Return the union of what an image's mask files mark; nothing, where none of them can mark a structure.

    Args:
        image: which image that is, for DICOM Segmentations, which may mark several.

    Raises:
        UnreadableImageError: masks of different sizes, or a file that `read_mask` cannot read, which is named.
    """
    files = {path: _read_named(path, structures, soft, image) for path in paths if marks_of(path, structures)}
    return united(files, structures, reading)


def united(files: Mapping[str, MaskFile], structures: Mapping[str, Mark], reading: Reading) -> ImageMasks:
    """Return the union of what an image's mask files mark, by their paths, as it lies in the model's square.

    Raises:
        UnreadableImageError: masks of different sizes.
    """
    sizes = {(file.height, file.width) for file in files.values()}
    if len(sizes) > 1:
        each = ", ".join(f"{Path(path).name} {file.width} × {file.height}" for path, file in files.items())
        raise UnreadableImageError(f"masks of one image have different sizes: {each}")
    shape = next(iter(sizes), (1, 1))
    planes = np.zeros((reading.size, reading.size, len(structures)), bool)
    areas = [0] * len(structures)
    for number, name in enumerate(structures):
        parts = [file.marked[name] for file in files.values() if name in file.marked]
        union = np.logical_or.reduce(parts) if parts else np.zeros(shape, bool)
        planes[..., number] = to_square(union, reading.size, reading.aspect)
        areas[number] = int(union.sum())
    bare = {path: replace(file, marked={}) for path, file in files.items()}
    return ImageMasks(planes, tuple(areas), bare)


def _read_named(path: str, structures: Mapping[str, Mark], soft: Soft, image: SourceImage) -> MaskFile:
    try:
        return read_mask(path, structures, soft, image)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{Path(path).name}: {error}") from None


def read_mask(
    path: str | Path, structures: Mapping[str, Mark], soft: Soft = "refuse", image: SourceImage = UNKNOWN
) -> MaskFile:
    """Decode one mask file at its own size; `kmedtl.images.mask_values.read_values` says what its values are.

    A file whose name fits patterns marks their structures wherever it is above 0 (or not black). In any other a pixel
    belongs to the structure of exactly its value. In a DICOM Segmentation values are the numbers of segments, and a
    pattern that does not fit the file's name is for their labels.

    Args:
        structures: name → a value, a colour `#rrggbb`, or a pattern of file names, such as `*_lung*`.
        soft: of masks with values in between: `refuse` tells of them; `threshold` counts a pixel from half of the
            brightest on, or to the nearest of the named values, background included.

    Raises:
        UnreadableImageError: with the reason in a few words.
    """
    marks = marks_of(path, structures)
    if is_dicom(Path(path)):
        return next(read_segment_masks(Path(path), structures, [image]))
    mask = read_values(
        path,
        by_index=any(isinstance(mark, int) for mark in marks.values()),
        by_colour=any(is_colour(mark) for mark in marks.values()),
    )
    return marked_in(mask, marks, soft)


def marked_in(mask: MaskValues, marks: Mapping[str, Mark], soft: Soft = "refuse") -> MaskFile:
    """Return what the values of one mask mark, as of `read_mask`; `marks` as of `marks_of` its file."""
    found = distinct(mask.codes)
    if any(is_pattern(mark) for mark in marks.values()):
        is_blurred, unnamed = is_soft(mask), found[:0]
        members = dict.fromkeys(marks, _above_background(mask, found, halved=is_blurred))
    else:
        members, unnamed, is_blurred = _of_values(mask, found, marks, soft)
    return MaskFile(
        {name: np.isin(mask.codes, values) for name, values in members.items()},
        width=mask.codes.shape[1],
        height=mask.codes.shape[0],
        values=_texts(found, mask.is_colour),
        count=len(found),
        unnamed=_texts(unnamed, mask.is_colour),
        soft=is_blurred and soft == "refuse",
    )


def read_segment_masks(path: Path, structures: Mapping[str, Mark], images: Iterable[SourceImage]) -> Iterator[MaskFile]:
    """Yield what a DICOM Segmentation marks on each image, as of `read_mask`; the file is opened once.

    Segments without a pixel in an image count as not there.
    """
    from kmedtl.images.dicom_seg import read_segments  # pydicom is slow to import, and most sets have none

    whole = list(fitting(path, structures))
    for segments in read_segments(path, images):
        yield _of_segments(segments, whole, structures)


def _of_segments(segments: Sequence[Segment], whole: Sequence[str], structures: Mapping[str, Mark]) -> MaskFile:
    """Return what the segments of one image mark; `whole` are structures that all of them are."""
    marked: dict[str, np.ndarray] = {}
    nothing, found, unnamed = np.zeros((0, 0), bool), [], []
    for segment in segments:
        nothing = np.zeros_like(segment.mask)
        if not segment.mask.any():
            continue
        found.append(str(segment.number))
        names = whole or of_segment(segment.number, segment.label, structures)
        if not names:
            unnamed.append(found[-1])
        for name in names:
            marked[name] = marked.get(name, nothing) | segment.mask
    of_each = {name: marked.get(name, nothing) for name in whole or structures}
    height, width = nothing.shape
    return MaskFile(of_each, width, height, tuple(found[:MOST_VALUES]), len(found), tuple(unnamed[:MOST_VALUES]))


def _above_background(mask: MaskValues, found: np.ndarray, halved: bool) -> np.ndarray:
    """Return the values that are no background; `halved`: those from half of the brightest on."""
    bright = levels(found, mask.is_colour)
    return found[(2 * bright >= bright.max()) & (bright > 0) if halved else bright > 0]


def _of_values(
    mask: MaskValues, found: np.ndarray, marks: Mapping[str, Mark], soft: Soft
) -> tuple[dict[str, np.ndarray], np.ndarray, bool]:
    """Return the values of each structure, those of none, and whether these come of blurred borders.

    Values in between go to the nearest only where a named one reaches half of the depth: of labels 1 and 2, a 3 is
    none that blurring makes.
    """
    codes = {name: _code(mark, mask.is_colour) for name, mark in marks.items()}
    named = np.array([0, *(code for code in codes.values() if code is not None)], np.int32)
    meant, unnamed = found, found[~np.isin(found, named)]
    is_blurred = len(unnamed) > 0 and is_soft(mask)
    if is_blurred and soft == "threshold" and 2 * levels(named, mask.is_colour).max() >= mask.full:
        meant, unnamed = _nearest(found, named, mask.is_colour), found[:0]
    members = {name: found[meant == code] if code is not None else found[:0] for name, code in codes.items()}
    return members, unnamed, is_blurred


def _code(mark: Mark, in_colour: bool) -> int | None:
    """Return what a value or colour is in a file of colours, or of gray levels; None where it cannot occur."""
    if isinstance(mark, int):
        return None if in_colour else mark
    code = int(mark[1:], 16)
    if in_colour:
        return code
    return code & 255 if code == (code & 255) * 0x010101 else None


def _nearest(found: np.ndarray, named: np.ndarray, in_colour: bool) -> np.ndarray:
    """Return for each value the nearest of the named ones; of two equally near ones the later: half counts."""
    one, other = _channels(found, in_colour), _channels(named, in_colour)
    away = ((one[:, None] - other[None, ::-1]) ** 2).sum(axis=2)
    return named[::-1][away.argmin(axis=1)]


def _channels(codes: np.ndarray, in_colour: bool) -> np.ndarray:
    """Return red, green and blue of colours, or levels alone: int64 (n, 3 or 1)."""
    wide = codes.astype(np.int64)
    return np.stack([wide >> 16, wide >> 8 & 255, wide & 255], axis=1) if in_colour else wide[:, None]


def _texts(values: np.ndarray, in_colour: bool) -> tuple[str, ...]:
    return tuple(f"#{value:06x}" if in_colour else str(value) for value in values[:MOST_VALUES].tolist())

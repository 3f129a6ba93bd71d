"""DICOM Segmentation objects as masks: which pixels of an image belong to which segment.

PS3.3 A.51 (the object), C.8.20 (segments, BINARY and FRACTIONAL), C.7.6.16.2.6 (Derivation Image: which image a frame
marks).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from kmedtl.images.dicom import check_pixel_tags, opened, read_tags, stored_values
from kmedtl.images.dicom_luts import numbers
from kmedtl.images.file_kinds import is_dicom
from kmedtl.images.marks import SourceImage
from kmedtl.images.pixels import UnreadableImageError

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"  # SOP class
Reference = tuple[str, int]  # SOPInstanceUID of an image, and the number of its frame; 0: all of them


@dataclass(frozen=True)
class Segment:
    """One segment on one image: `mask` is bool (H, W); `label` is free text, which may name a patient."""

    number: int
    label: str
    mask: np.ndarray


def is_segmentation(path: str) -> bool:
    """Tell whether a DICOM file is a Segmentation; what cannot be read is none."""
    return read_tags(path, ["SOPClassUID"])["SOPClassUID"] == SEGMENTATION


def source_image(path: str, frame: int | None) -> SourceImage:
    """Return what segmentations call an image by; `frame` as of `read_image`."""
    if not is_dicom(Path(path)):
        return SourceImage()
    tags = read_tags(path, ["SOPInstanceUID", "NumberOfFrames"])
    count = int(tags["NumberOfFrames"]) if tags["NumberOfFrames"].isdigit() else 1
    return SourceImage(tags["SOPInstanceUID"], 1 + (count // 2 if frame is None else frame))


def uids_of(path: str) -> tuple[str, str]:
    """Return SOPInstanceUID and SeriesInstanceUID of a DICOM file, "" where it has none."""
    tags = read_tags(path, ["SOPInstanceUID", "SeriesInstanceUID"])
    return tags["SOPInstanceUID"], tags["SeriesInstanceUID"]


def references(path: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the SOPInstanceUIDs and SeriesInstanceUIDs of what a Segmentation says it is of; of other files none."""
    try:
        with opened(Path(path)) as data:
            if str(data.get("SOPClassUID", "")) != SEGMENTATION:
                return frozenset(), frozenset()
            frames = range(len(data.get("PerFrameFunctionalGroupsSequence") or []))
            marked = {uid for frame in frames for uid, _ in _references(data, frame)}
            series = (str(one.get("SeriesInstanceUID", "")) for one in data.get("ReferencedSeriesSequence") or [])
            return frozenset(marked | _listed(data)), frozenset(filter(None, series))
    except UnreadableImageError:
        return frozenset(), frozenset()


def _listed(data: pydicom.Dataset) -> set[str]:
    """Return the SOPInstanceUIDs of the images that a Segmentation lists, marked or not."""
    return {
        str(one.ReferencedSOPInstanceUID)
        for series in data.get("ReferencedSeriesSequence") or []
        for one in series.get("ReferencedInstanceSequence") or []
    }


def read_segments(path: Path, images: Iterable[SourceImage]) -> Iterator[list[Segment]]:
    """Yield for each image the segments of a Segmentation by their numbers, with the pixels that belong to each.

    Frames of one segment are united. Where frames say which image they mark, and the image has a SOPInstanceUID, only
    those of this image count; there may be none, where the segmentation was made of this image among others. Of a
    FRACTIONAL one a pixel belongs from half of MaximumFractionalValue on. The file is opened once.

    Raises:
        UnreadableImageError: no Segmentation, one that cannot be decoded, of other images, or of several of which
            nothing says which is this one. The reason never quotes the file's text.
    """
    with opened(path) as data:
        if str(data.get("SOPClassUID", "")) != SEGMENTATION:
            raise UnreadableImageError("a DICOM file that is no Segmentation (SEG)")
        if data.get("SegmentationType") not in ("BINARY", "FRACTIONAL"):
            raise UnreadableImageError("a DICOM Segmentation that is neither BINARY nor FRACTIONAL")
        check_pixel_tags(data)
        count = int(next(iter(numbers(data, "NumberOfFrames")), 1))
        if count != len(data.get("PerFrameFunctionalGroupsSequence") or []):
            raise UnreadableImageError("a DICOM Segmentation that does not tell of each frame what it is")
        owners = [_segment_of(data, frame) for frame in range(count)]
        each, listed = [_references(data, frame) for frame in range(count)], _listed(data)
        labels = {int(one.SegmentNumber): str(one.get("SegmentLabel", "")) for one in data.SegmentSequence}
        for image in images:
            chosen = _frames_of(image, listed, each)
            of_each = {number: [frame for frame in chosen if owners[frame] == number] for number in (*labels, *owners)}
            yield [
                Segment(number, labels.get(number, ""), _union(data, frames))
                for number, frames in sorted(of_each.items())
            ]


def _group(data: pydicom.Dataset, frame: int, keyword: str) -> Sequence[pydicom.Dataset]:
    """Return the items of a functional group: a frame's own, else those that all frames share."""
    shared = data.get("SharedFunctionalGroupsSequence") or []
    own = data.PerFrameFunctionalGroupsSequence[frame].get(keyword)
    return own or next((one.get(keyword) for one in shared), None) or []


def _segment_of(data: pydicom.Dataset, frame: int) -> int:
    found = _group(data, frame, "SegmentIdentificationSequence")
    if not found:
        raise UnreadableImageError("a DICOM Segmentation whose frames do not say which segment they are of")
    return int(found[0].ReferencedSegmentNumber)


def _references(data: pydicom.Dataset, frame: int) -> set[Reference]:
    """Return the images that a frame marks."""
    return {
        (str(image.ReferencedSOPInstanceUID), int(number))
        for derivation in _group(data, frame, "DerivationImageSequence")
        for image in derivation.get("SourceImageSequence") or []
        for number in numbers(image, "ReferencedFrameNumber") or [0]
    }


def _frames_of(image: SourceImage, listed: set[str], each: Sequence[set[Reference]]) -> list[int]:
    """Return the frames that mark an image, from 0 on.

    Args:
        listed: as of `_listed`.
        each: which images each frame marks.
    """
    marked = set().union(*each)
    known = {uid for uid, _ in marked} | listed
    if image.uid and known and image.uid not in known:
        raise UnreadableImageError("a DICOM Segmentation of other images, by their SOPInstanceUID")
    if image.uid and all(each):
        wanted = {(image.uid, 0), (image.uid, image.frame)}
        return [frame for frame, found in enumerate(each) if found & wanted]
    if max(len(known), len(marked)) <= 1:
        return list(range(len(each)))
    raise UnreadableImageError("a DICOM Segmentation of several images, and nothing says which of them this is")


def _union(data: pydicom.FileDataset, frames: Sequence[int]) -> np.ndarray:
    """Return the pixels that any of the frames marks, bool (H, W)."""
    found = np.zeros((int(data.Rows), int(data.Columns)), bool)
    half = int(data.MaximumFractionalValue) / 2 if data.SegmentationType == "FRACTIONAL" else 1
    is_packed = int(data.BitsAllocated) == 1 and not data.file_meta.TransferSyntaxUID.is_encapsulated
    for frame in frames:
        values = _bits(data, frame) if is_packed else stored_values(data, frame)
        found |= (values > 0) & (values >= half)
    return found


def _bits(data: pydicom.FileDataset, frame: int) -> np.ndarray:
    """Return a frame of single bits, uint8 (H, W) of 0 and 1 (PS3.5 8.1.1); frames need not begin at whole bytes.

    By hand: pydicom 3.0.2 fails on a frame that begins and ends within bytes.
    """
    if not data.file_meta.TransferSyntaxUID.is_little_endian:
        raise UnreadableImageError("a big-endian DICOM Segmentation, which is not read")
    rows, columns = int(data.Rows), int(data.Columns)
    first, skipped = divmod(frame * rows * columns, 8)
    packed = np.frombuffer(data.PixelData, np.uint8, -(-(skipped + rows * columns) // 8), first)
    return np.unpackbits(packed, bitorder="little")[skipped:][: rows * columns].reshape(rows, columns)

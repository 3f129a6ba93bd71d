"""DICOM slices to a volume: a series of single-frame files, or the frames of one enhanced file.

Every slice's tags are looked at before any pixel is decoded; then one slice is decoded at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from kmedtl.images.dicom import check_pixel_tags, opened, padding_in, stored_values
from kmedtl.images.dicom_luts import modality_values, numbers, tags_of_frame
from kmedtl.images.dicom_seg import SEGMENTATION
from kmedtl.images.marks import SourceImage
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_image import readable
from kmedtl.images.slice_stack import stack
from kmedtl.images.volume import Kind, Stored, check_voxels, refusal
from kmedtl.system.progress import progress

MODALITIES = ("CT", "MR", "PT", "NM", "US", "OPT")  # what else a file says there is taken as unknown: it is any text
ALIKE = 1e-4  # that spacings in mm, and directions, of the slices of one series may differ
GEOMETRY = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}  # numbers each


@dataclass(frozen=True)
class SliceTags:
    """What a slice's tags say of it; lengths in mm. UIDs are compared, and never told."""

    series: str
    instance: str
    frame_of_reference: str
    modality: str
    size: tuple[int, int]
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]


def read_series(files: Sequence[Path]) -> Stored:
    """Return the single-frame files of one series as an array (slices along the normal, rows, columns).

    Padding, which stands for what was not imaged, becomes the smallest value of what was.

    Raises:
        UnreadableImageError: a file that cannot be read, which is told by its number in `files`, or files that are no
            one evenly spaced volume, and why.
    """
    tags = _series_tags(files)
    order, affine = _order(tags)
    return _filled(tags, affine, "dicom_series", (_slice(files[index], 1 + index, len(files)) for index in order))


def blank_slices(files: Sequence[Path]) -> tuple[Stored, np.ndarray]:
    """Return what `read_series`, or of one enhanced file `read_frames`, does as far as the headers say it: its voxels
    are 0, uint8, and take no room; and which file, or which frame of the one file, each slice of it comes from.

    Raises:
        UnreadableImageError: as of `read_series`, as far as the headers tell.
    """
    tags, kind = _tags(files)
    order, affine = _order(tags)
    values = np.broadcast_to(np.uint8(0), (len(tags), *tags[0].size))
    return Stored(values, affine, 0, _modality(tags), kind), order


def slice_images(files: Sequence[Path]) -> list[SourceImage]:
    """Return what segmentations call the image that each slice of the volume comes from, in the order of the slices."""
    tags, kind = _tags(files)
    frames = kind == "dicom_frames"
    return [SourceImage(tags[index].instance, 1 + index if frames else 1) for index in _order(tags)[0].tolist()]


def _tags(files: Sequence[Path]) -> tuple[list[SliceTags], Kind]:
    """Return the tags of the files of a series, or of the frames of one enhanced file, and which of both it is."""
    if len(files) > 1 or not is_multi_frame(files[0]):
        return _series_tags(files), "dicom_series"
    with readable(files[0]), opened(files[0], stop_before_pixels=True) as data:
        return _frame_tags(data)[1], "dicom_frames"


def _series_tags(files: Sequence[Path]) -> list[SliceTags]:
    tags = []
    for number, path in enumerate(progress(files, "Reading headers", unit="file"), 1):
        with _counted(number, len(files)), readable(path), opened(path, stop_before_pixels=True) as data:
            _check_single(data)
            tags.append(_slice_tags(tags_of_frame(data, 0)))
    copies = len(tags) - len({(one.instance, one.position) for one in tags})
    if copies:  # else they would look like time points
        raise refusal("doubled slices", "each slice once", f"{copies} copies of slices", "Take the copies out")
    return tags


def read_frames(path: Path) -> Stored:
    """Return the frames of an enhanced multi-frame file as `read_series` returns files.

    Raises:
        UnreadableImageError: the file cannot be read, or its frames are no one evenly spaced volume, and why.
    """
    with readable(path), opened(path) as data:
        frames, tags = _frame_tags(data)
        order, affine = _order(tags)
        check_pixel_tags(data)
        slices = (_values(stored_values(data, index), frames[index]) for index in order)
        return _filled(tags, affine, "dicom_frames", slices)


def _frame_tags(data: pydicom.Dataset) -> tuple[list[pydicom.Dataset], list[SliceTags]]:
    """Return the tags of each frame, functional groups laid over, and what they say of its slice."""
    _check_kind(data)
    count = _frames(data)
    if "PerFrameFunctionalGroupsSequence" not in data:
        raise refusal(
            "frames without positions", "an enhanced multi-frame file, or a folder of slices",
            f"{count} frame{'s' if count > 1 else ''}, and nothing says where",
            "Give the folder of a series; films and single slices are read as images",
        )  # fmt: skip
    frames = [tags_of_frame(data, number) for number in range(count)]
    tags = []
    for number, frame in enumerate(frames, 1):
        with _counted(number, count):
            tags.append(_slice_tags(frame))
    return frames, tags


def is_multi_frame(path: Path) -> bool:
    """Tell whether a DICOM file says that it holds several frames.

    Raises:
        UnreadableImageError: it cannot be read.
    """
    with readable(path), opened(path, stop_before_pixels=True) as data:
        return _frames(data) > 1 or "PerFrameFunctionalGroupsSequence" in data


def _slice(path: Path, number: int, count: int) -> np.ndarray:
    with _counted(number, count), readable(path), opened(path) as data:
        check_pixel_tags(data)
        return _values(stored_values(data, 0), tags_of_frame(data, 0))


def _values(stored: np.ndarray, tags: pydicom.Dataset) -> np.ndarray:
    """Return a slice in modality units, float32 (H, W); NaN is padding."""
    values = modality_values(stored, tags).astype(np.float32)
    if not np.isfinite(values).all():
        raise refusal("values", "finite ones", "NaN or infinity", "Export the series again")
    values[padding_in(stored, tags)] = np.nan
    return values


def _filled(tags: Sequence[SliceTags], affine: np.ndarray, kind: Kind, slices: Iterator[np.ndarray]) -> Stored:
    values = np.empty((len(tags), *tags[0].size), np.float32)
    for index, one in enumerate(progress(slices, "Decoding slices", len(tags), unit="slice")):
        values[index] = one
    padding = np.isnan(values)
    if padding.all():
        raise refusal("values", "something imaged", "padding alone", "Export the series again")
    if padding.any():
        values[padding] = np.nanmin(values)
    return Stored(values, affine, 0, _modality(tags), kind)


def _modality(tags: Sequence[SliceTags]) -> str:
    return tags[0].modality if tags[0].modality in MODALITIES else ""


def _order(tags: Sequence[SliceTags]) -> tuple[np.ndarray, np.ndarray]:
    """Check that slices belong together; return their order and the affine, as of `stack`."""
    for told, of, remedy in _COMMON:
        found = Counter(of(one) for one in tags)
        if len(found) > 1:
            raise refusal(told, f"one in all {len(tags)} slices", _in_short(found), remedy)
    if len(tags) < 2:
        raise refusal("a single slice", "at least 2 slices", "1", "Read it as an image, not as a volume")
    check_voxels((len(tags), *tags[0].size))
    for name, told in (("spacing", "mixed pixel spacing"), ("orientation", "mixed orientation")):
        each = np.array([getattr(one, name) for one in tags])
        apart = float(np.ptp(each, axis=0).max())
        if apart > ALIKE:
            raise refusal(told, f"one in all {len(tags)} slices", f"differences of {apart:.3g}", _APART)
    first = tags[0]
    positions = np.array([one.position for one in tags])
    return stack(positions, np.array(first.orientation), (first.spacing[0], first.spacing[1]))


_APART = "Put each volume in a folder of its own"
# What all slices have in common: how it is told, where it is, and what to do.
_COMMON: tuple[tuple[str, Callable[[SliceTags], object], str], ...] = (
    (
        "several series",
        lambda tags: tags.series,
        "Read one at a time, as kmedtl.images.dicom_tree.series_in lists them",
    ),
    ("several modalities", lambda tags: tags.modality, _APART),
    ("mixed size", lambda tags: tags.size, _APART),
    ("several frames of reference", lambda tags: tags.frame_of_reference, _APART),
)


def _in_short(found: Counter) -> str:
    """Return how many there are of each, without what they are unless they are sizes: UIDs are a patient's."""
    if all(isinstance(one, tuple) for one in found):
        return ", ".join(f"{count} of {one[0]} × {one[1]}" for one, count in found.most_common(3))
    counts = ", ".join(str(count) for _, count in found.most_common(3))
    return f"{len(found)}, of {counts}{' …' if len(found) > 3 else ''} slices"


def _check_single(data: pydicom.Dataset) -> None:
    _check_kind(data)
    if (count := _frames(data)) > 1:
        raise refusal("several frames in a file of a series", "1", str(count), "Read each multi-frame file by itself")


def _check_kind(data: pydicom.Dataset) -> None:
    """Refuse what is no gray picture of a slice of the body."""
    if str(data.get("SOPClassUID", "")) == SEGMENTATION:
        remedy = "Save its segments as a NIfTI volume of labels"
        raise refusal("a DICOM Segmentation", "slices of an image", "segments, which may overlap", remedy)
    if "LOCALIZER" in str(data.get("ImageType", "")).upper():
        raise refusal("a localizer", "slices of a volume", "ImageType LOCALIZER", "Take localizers (scouts) out")
    mode = str(data.get("PhotometricInterpretation", "")).strip().upper()
    if int(data.get("SamplesPerPixel") or 1) > 1 or mode.startswith(("RGB", "YBR", "PALETTE")):
        raise refusal("colour", "MONOCHROME2", "colours or a palette", "Read its slices as images")
    if mode == "MONOCHROME1":
        remedy = "Export the series as MONOCHROME2"
        raise refusal("inverted gray", "MONOCHROME2", "MONOCHROME1, which counts from white to black", remedy)


def _slice_tags(data: pydicom.Dataset) -> SliceTags:
    """Return the tags of one slice, functional groups laid over, or name the one that is not there."""
    geometry = {}
    for name, count in GEOMETRY.items():
        found = tuple(numbers(data, name))
        if len(found) != count:
            remedy = "Without it nothing says where the slice lies; export the series as it was acquired"
            raise refusal(name, f"{count} numbers", str(len(found)), remedy)
        geometry[name] = found
    if min(geometry["PixelSpacing"]) <= 0:
        raise refusal("PixelSpacing", "more than 0 mm", "0 or less", "Export the series again")
    modality = str(data.get("Modality", "")).strip().upper()
    if modality == "CT":
        _check_hounsfield(data)
    return SliceTags(
        series=str(data.get("SeriesInstanceUID", "")),
        instance=str(data.get("SOPInstanceUID", "")),
        frame_of_reference=str(data.get("FrameOfReferenceUID", "")),
        modality=modality,
        size=(int(data.get("Rows") or 0), int(data.get("Columns") or 0)),
        position=geometry["ImagePositionPatient"],
        orientation=geometry["ImageOrientationPatient"],
        spacing=geometry["PixelSpacing"],
    )


def _check_hounsfield(data: pydicom.Dataset) -> None:
    """Refuse CT whose values are not said to be Hounsfield units (PS3.3 C.11.1.1.2)."""
    if data.get("ModalityLUTSequence"):
        return
    if not (numbers(data, "RescaleSlope") and numbers(data, "RescaleIntercept")):
        remedy = "Without them its values are no Hounsfield units; export the series again"
        raise refusal("CT without a scale", "RescaleSlope and RescaleIntercept", "none", remedy)
    if str(data.get("RescaleType") or "HU").strip().upper() not in ("HU", "US"):  # US: unspecified
        raise refusal("CT in another unit", "Hounsfield units (HU)", "another RescaleType", "Choose a series in HU")


def _frames(data: pydicom.Dataset) -> int:
    return max(1, int(next(iter(numbers(data, "NumberOfFrames")), 1)))


@contextmanager
def _counted(number: int, count: int) -> Iterator[None]:
    """Put before a reason which of the slices it is of."""
    try:
        yield
    except UnreadableImageError as error:
        raise UnreadableImageError(f"slice {number} of {count}: {error}") from None

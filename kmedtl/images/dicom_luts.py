"""From stored DICOM values to modality values, and the windows to see them through, whatever form the tags take.

PS3.3 C.11.1 (modality LUT), C.11.2 (VOI LUT, windows), C.7.6.16.2 (functional groups of enhanced images).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence

from kmedtl.images.pixels import UnreadableImageError

# What an enhanced image keeps in its functional groups instead of at the top.
GROUPS = (
    "PixelValueTransformationSequence", "FrameVOILUTSequence", "PixelMeasuresSequence", "PlanePositionSequence",
    "PlaneOrientationSequence",
)  # fmt: skip


def tags_of_frame(data: pydicom.Dataset, number: int) -> pydicom.Dataset:
    """Return the tags with those of a frame's functional groups laid over them: its own before the shared ones."""
    merged = pydicom.Dataset(dict(data.items()))  # of a Dataset itself it would share, and change, what it holds
    for keyword, index in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", number)):
        groups = data.get(keyword)
        if not isinstance(groups, Sequence) or index >= len(groups):
            continue
        for name in GROUPS:
            for item in (groups[index].get(name) or [])[:1]:
                merged.update(item)
    merged.file_meta = data.file_meta
    return merged


def modality_values(values: np.ndarray, data: pydicom.Dataset) -> np.ndarray:
    """Return stored values in modality units, such as Hounsfield units: through the LUT, else slope and intercept.

    An absent or empty slope is 1, an absent or empty intercept 0.
    """
    if data.get("ModalityLUTSequence"):
        return look_up(values, *read_lut(data.ModalityLUTSequence[0], data))
    slope = next(iter(numbers(data, "RescaleSlope")), 1.0)
    intercept = next(iter(numbers(data, "RescaleIntercept")), 0.0)
    return values if (slope, intercept) == (1.0, 0.0) else values.astype(np.float64) * slope + intercept


def read_lut(item: pydicom.Dataset, data: pydicom.Dataset) -> tuple[np.ndarray, int]:
    """Return the entries of a modality or VOI LUT, float64 (N,), and the value that the first of them stands for.

    Raises:
        UnreadableImageError: the table or its descriptor is missing.
    """
    descriptor, entries = item.get("LUTDescriptor"), item.get("LUTData")
    if entries is None or descriptor is None or len(descriptor) != 3:
        raise UnreadableImageError("a DICOM image whose LUTDescriptor or LUTData is missing")
    count, first, _ = (int(value) for value in descriptor)  # files claim wrong numbers of bits: they are not trusted
    if isinstance(entries, bytes):
        words = "<u2" if data.file_meta.TransferSyntaxUID.is_little_endian else ">u2"
        entries = np.frombuffer(entries, words if len(entries) >= 2 * (count or 2**16) else np.uint8)
    lut = np.asarray(entries, np.float64).reshape(-1)
    if not len(lut):
        raise UnreadableImageError("a DICOM image whose LUTData is empty")
    return lut, first


def look_up(values: np.ndarray, lut: np.ndarray, first: int) -> np.ndarray:
    """Return the entry for each value; values outside the table take its first or last entry."""
    if first >= 2**15 and values.min() < 0:  # written without its sign
        first -= 2**16
    return lut[np.clip(np.round(values) - first, 0, len(lut) - 1).astype(np.int64)]


def windows(data: pydicom.Dataset) -> list[tuple[str, float, float]]:
    """Return name, center and width of the windows stored in a file, in its order; one of no width is none."""
    centers, widths = numbers(data, "WindowCenter"), numbers(data, "WindowWidth")
    names = data.get("WindowCenterWidthExplanation") or ()
    names = [names] if isinstance(names, str) else list(names)
    names += [""] * len(centers)  # explanations are optional
    found = zip(names, centers, widths, strict=False)
    return [(str(name), center, width) for name, center, width in found if width > 0]


def numbers(data: pydicom.Dataset, keyword: str) -> list[float]:
    """Return the finite numbers of a tag, decimal commas included; none where it is absent or empty.

    Read from the raw text, since pydicom refuses what it cannot convert.

    Raises:
        UnreadableImageError: text that is no number, by the tag's name.
    """
    try:
        return list(_numbers(data, keyword))
    except (ValueError, TypeError):
        raise UnreadableImageError(f"a DICOM image whose {keyword} is no number") from None


def _numbers(data: pydicom.Dataset, keyword: str) -> Iterator[float]:
    if keyword not in data:
        return
    element = data.get_item(keyword)
    value = element.value
    if isinstance(element, RawDataElement) and isinstance(value, bytes):
        value = value.decode("ascii", "replace").strip("\0 ")
        value = value.split("\\") if value else []
    elif value is None or value == "":
        value = []
    for one in np.atleast_1d(np.asarray(value, object)).tolist() if not isinstance(value, list) else value:
        text = str(one).strip("\0 ").replace(",", ".")
        if text:
            number = float(text)
            if not math.isfinite(number):
                raise ValueError(keyword)
            yield number

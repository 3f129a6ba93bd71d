"""DICOM pixels as a radiologist's screen shows them: modality LUT, window, polarity, colour.

PS3.3 C.7.6.3 (photometric interpretation, padding in C.7.5.1), C.11.1 (modality LUT) and C.11.2 (VOI LUT, windows).
"""

from __future__ import annotations

import logging
import mmap
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels import apply_color_lut, pixel_array
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from kmedtl.images.dicom_codecs import plugin_for
from kmedtl.images.dicom_luts import look_up, modality_values, numbers, read_lut, tags_of_frame, windows
from kmedtl.images.dicom_spacing import spacing_of
from kmedtl.images.pixels import UnreadableImageError, check_pixels, stretch, to_levels, voi_share
from kmedtl.images.reading import Window

# What pydicom and its decoders raise on broken files.
_DECODING_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, BytesLengthException, EOFError, IndexError, InvalidDicomError,
    KeyError, NotImplementedError, OSError, RuntimeError, TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_GRAY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
# Without these no pixel can be decoded, or it could be decoded wrongly (PS3.3 C.7.6.3.1).
_REQUIRED = (
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored",
    "PixelRepresentation",
)  # fmt: skip
_OF_INTEGERS = ("BitsStored", "PixelRepresentation")  # float pixels have neither
_WIDEST_TABLE = 2**17  # stored values; more are worked out pixel by pixel


@dataclass(frozen=True)
class DicomImage:
    """One frame: `pixels` is uint8 (H, W) or (H, W, 3); `mode` and `bits` as stored; `spacing` as of `spacing_of`."""

    pixels: np.ndarray
    mode: str
    bits: int
    burned_in: bool
    spacing: tuple[float, float]


def read_dicom(path: Path, window: Window, frame: int | None) -> DicomImage:
    """Return one frame (None: the middle one), gray through `window`.

    Raises:
        UnreadableImageError: no image in the file, or one that cannot be decoded. The reason never quotes the file's
            text, which may name a patient.
    """
    with opened(path) as data:
        return _decode(data, window, frame)


@contextmanager
def opened(path: Path, stop_before_pixels: bool = False) -> Iterator[pydicom.FileDataset]:
    """Yield the tags of a file, and turn what pydicom raises on them meanwhile into a reason.

    Raises:
        UnreadableImageError: as of `read_dicom`.
    """
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield _parse(path, stop_before_pixels)
        except InvalidDicomError:
            raise UnreadableImageError("not a readable DICOM image (no DICOM header)") from None
        except _DECODING_ERRORS:
            raise UnreadableImageError("not a readable DICOM image (its header is damaged)") from None


def read_tags(path: str, names: Sequence[str]) -> dict[str, str]:
    """Return tags by their keyword, "" where the file has none of that name, or cannot be read at all."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            data = _parse(Path(path), stop_before_pixels=True)
            return {name: str(data.get(name, "") or "").strip() for name in names}
        except (*_DECODING_ERRORS, MemoryError):
            return dict.fromkeys(names, "")


def _parse(path: Path, stop_before_pixels: bool = False) -> pydicom.FileDataset:
    """Read the tags; a file without the preamble or the transfer syntax is taken as uncompressed."""
    # Mapped, not read: where a damaged file declares 4 GB, Python would make room for them.
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        data = pydicom.dcmread(cast(BinaryIO, content), force=True, stop_before_pixels=stop_before_pixels)
    if "TransferSyntaxUID" not in data.file_meta:
        implicit, little_endian = data.original_encoding
        explicit = ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return data


def _decode(data: pydicom.FileDataset, window: Window, frame: int | None) -> DicomImage:
    mode = check_pixel_tags(data)
    number = _frame(data, frame)
    stored, tags = stored_values(data, number), tags_of_frame(data, number)
    bits = int(data.BitsStored if "PixelData" in data else data.BitsAllocated)
    if mode == "PALETTE COLOR":
        shown = _to_8_bit(apply_color_lut(stored, data), 16)  # whatever the entries use of their 16 bits
    elif stored.ndim == 3:
        shown = _to_8_bit(stored, bits)
    else:
        shown = _gray(stored, tags, window)
    return DicomImage(shown, mode, bits, str(data.get("BurnedInAnnotation", "")).upper() == "YES", spacing_of(tags))


def check_pixel_tags(data: pydicom.FileDataset) -> str:
    """Return the photometric interpretation of pixels that `stored_values` can decode.

    Raises:
        UnreadableImageError: tags that are missing or hold what they cannot, too many pixels, or too few of them.
    """
    if not any(data.get(name) for name in _PIXELS):
        raise UnreadableImageError("not a readable DICOM image (it holds no pixels)")
    _check_tags(data)
    mode = str(data.PhotometricInterpretation).strip().upper()
    if mode not in (*_GRAY, *_COLOUR, "PALETTE COLOR"):
        raise UnreadableImageError("a DICOM image of an unknown photometric interpretation")
    check_pixels(int(data.Columns), int(data.Rows))
    _check_length(data)
    return mode


def _check_tags(data: pydicom.FileDataset) -> None:
    """Name the first tag that is missing or holds what it cannot."""
    for name in _REQUIRED:
        if name in _OF_INTEGERS and "PixelData" not in data:
            continue
        if data.get(name) in (None, ""):
            raise UnreadableImageError(f"not a readable DICOM image (no {name})")
    if int(data.SamplesPerPixel) > 1 and data.get("PlanarConfiguration") is None:
        if not data.file_meta.TransferSyntaxUID.is_encapsulated:
            raise UnreadableImageError("not a readable DICOM image (no PlanarConfiguration, colours could be mixed up)")
        data.PlanarConfiguration = 0  # the decoder of compressed pixels knows


def _check_length(data: pydicom.FileDataset) -> None:
    native = "PixelData" in data and not data.file_meta.TransferSyntaxUID.is_encapsulated
    if native and len(data.PixelData) < get_expected_length(data):
        raise UnreadableImageError("not a readable DICOM image (its PixelData is cut short)")


def stored_values(data: pydicom.FileDataset, number: int) -> np.ndarray:
    """Return a frame's stored values, (H, W) or (H, W, 3); YBR becomes RGB."""
    syntax = data.file_meta.TransferSyntaxUID
    try:
        return pixel_array(data, index=number, decoding_plugin=plugin_for(syntax))
    except _DECODING_ERRORS:
        name = syntax.name if syntax.is_transfer_syntax else "an unknown transfer syntax"
        raise UnreadableImageError(f"not a readable DICOM image (PixelData cannot be decoded as {name})") from None


def _frame(data: pydicom.Dataset, frame: int | None) -> int:
    frames = next(iter(numbers(data, "NumberOfFrames")), 1)
    frames = max(int(frames), 1)
    if frame is None:
        return frames // 2
    if not 0 <= frame < frames:
        raise UnreadableImageError(f"no frame {frame} in the file")
    return frame


def _to_8_bit(colour: np.ndarray, bits: int) -> np.ndarray:
    if colour.dtype == np.uint8:
        return colour
    if colour.dtype != np.uint16 or not 8 <= bits <= 16:
        raise UnreadableImageError("DICOM colours of neither 8 nor 16 bits")
    return (colour >> (bits - 8)).astype(np.uint8)


def _gray(stored: np.ndarray, data: pydicom.Dataset, window: Window) -> np.ndarray:
    """Return uint8 levels of integer or float pixels, (H, W).

    Levels are worked out once for each value that can occur and then looked up: there are far fewer than pixels.
    """
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    low, high = stored.min(), stored.max()
    if stored.dtype.kind not in "iu" or int(high) - int(low) >= _WIDEST_TABLE:
        return _levels(stored, np.ones(stored.shape, bool), data, window)
    values = np.arange(int(low), int(high) + 1)
    # The difference may wrap around in a signed type; read as unsigned it is right again.
    places = (stored - low).view(f"u{stored.itemsize}")
    occurs = np.zeros(values.shape, bool)
    for row in places:  # NumPy makes 8 bytes of each index: row by row, they are few
        occurs[row] = True
    levels = _levels(values, occurs, data, window)
    return np.stack([levels[row] for row in places])


def _levels(values: np.ndarray, occurs: np.ndarray, data: pydicom.Dataset, window: Window) -> np.ndarray:
    """Return the uint8 level of each stored value; `occurs` (bool) tells which of them the frame holds."""
    padding = padding_in(values, data)
    shown = _through_window(modality_values(values, data), occurs & ~padding, data, window)
    if str(data.PhotometricInterpretation).strip().upper() == "MONOCHROME1":
        shown = 255 - shown
    return np.where(padding, np.uint8(0), shown)


def padding_in(values: np.ndarray, data: pydicom.Dataset) -> np.ndarray:
    """Return where values stand for what was not imaged (bool, as `values`): they are shown black and set no range."""
    if data.get("PixelPaddingValue") is None:
        return np.zeros(values.shape, bool)
    limit = data.get("PixelPaddingRangeLimit")
    ends = [int(data.PixelPaddingValue), int(data.PixelPaddingValue if limit is None else limit)]
    if values.dtype.kind in "iu":  # files write it with either sign
        span, signed = 2 ** int(data.BitsAllocated), int(data.get("PixelRepresentation", 0)) == 1
        ends = [(end + span // 2) % span - span // 2 if signed else end % span for end in ends]
    return (values >= min(ends)) & (values <= max(ends))


def _through_window(values: np.ndarray, imaged: np.ndarray, data: pydicom.Dataset, window: Window) -> np.ndarray:
    """Return uint8 levels of modality values, by `window` as its docstring says; `imaged` ones set the range."""
    if window.center is not None and window.width is not None:
        return to_levels(voi_share(values, window.center, window.width))
    if not window.name and data.get("VOILUTSequence"):
        lut, first = read_lut(data.VOILUTSequence[0], data)
        return to_levels(look_up(values, lut, first) / max(lut.max(), 1))  # the largest entry is white
    stored = windows(data)
    if window.name:
        stored = [one for one in stored if one[0].strip().casefold() == window.name.strip().casefold()]
        if not stored:
            raise UnreadableImageError("the file has no window of the name asked for")
    if not stored:
        return stretch(np.where(imaged, values, np.nan))
    _, center, width = stored[0]
    function = str(data.get("VOILUTFunction") or "LINEAR").strip().upper()
    return to_levels(voi_share(values, center, width, function))

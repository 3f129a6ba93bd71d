"""DICOM pixels as a radiologist's screen shows them: modality LUT, window, polarity, colour.

PS3.3 C.7.6.3 (photometric interpretation, padding in C.7.5.1), C.11.1 (modality LUT) and C.11.2 (VOI LUT, windows).
"""

from __future__ import annotations

import logging
import mmap
import struct
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from kmedtl.data.dicom_codecs import plugin_for
from kmedtl.data.pixels import UnreadableImageError, check_pixels, stretch, to_levels
from kmedtl.data.reading import Window

# What pydicom and its decoders raise on broken files.
_DECODING_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, BytesLengthException, EOFError, IndexError, InvalidDicomError,
    KeyError, NotImplementedError, OSError, RuntimeError, TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_GRAY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_WIDEST_TABLE = 2**17  # stored values; more are worked out pixel by pixel


@dataclass(frozen=True)
class DicomImage:
    """One frame: `pixels` is uint8 (H, W) or (H, W, 3); `mode` and `bits` are as stored."""

    pixels: np.ndarray
    mode: str
    bits: int
    burned_in: bool


def read_dicom(path: Path, window: Window, frame: int | None) -> DicomImage:
    """Return one frame (None: the middle one), gray through `window`.

    Raises:
        UnreadableImageError: no image in the file, or one that cannot be decoded. The reason never quotes the file's
            text, which may name a patient.
    """
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _decode(_parse(path), window, frame)
        except _DECODING_ERRORS as error:
            kind = f"{type(error).__module__}.{type(error).__name__}".removeprefix("builtins.")
            raise UnreadableImageError(f"not a readable DICOM image ({kind})") from None


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
        data = pydicom.dcmread(content, force=True, stop_before_pixels=stop_before_pixels)
    if "TransferSyntaxUID" not in data.file_meta:
        implicit, little_endian = data.original_encoding
        explicit = ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return data


def _decode(data: pydicom.FileDataset, window: Window, frame: int | None) -> DicomImage:
    if not any(data.get(name) for name in _PIXELS):
        raise UnreadableImageError("not a readable DICOM image (it holds no pixels)")
    mode = str(data.PhotometricInterpretation)
    if mode not in (*_GRAY, *_COLOUR, "PALETTE COLOR"):
        raise UnreadableImageError("a DICOM image of an unknown photometric interpretation")
    check_pixels(int(data.Columns), int(data.Rows))
    syntax = data.file_meta.TransferSyntaxUID
    if "PixelData" in data and not syntax.is_encapsulated and len(data.PixelData) < get_expected_length(data):
        raise UnreadableImageError("not a readable DICOM image (its pixels are cut short)")
    # YBR becomes RGB here.
    stored = pixel_array(data, index=_frame(data, frame), decoding_plugin=plugin_for(syntax))
    bits = int(data.BitsStored if "PixelData" in data else data.BitsAllocated)
    if mode == "PALETTE COLOR":
        shown = _to_8_bit(apply_color_lut(stored, data), 16)  # whatever the entries use of their 16 bits
    elif stored.ndim == 3:
        shown = _to_8_bit(stored, bits)
    else:
        shown = _gray(stored, data, window)
    return DicomImage(shown, mode, bits, str(data.get("BurnedInAnnotation", "")).upper() == "YES")


def _frame(data: pydicom.Dataset, frame: int | None) -> int:
    frames = int(data.get("NumberOfFrames", 1) or 1)
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
    padding = _padding(values, data)
    shown = _through_window(apply_modality_lut(values, data), occurs & ~padding, data, window)
    if data.PhotometricInterpretation == "MONOCHROME1":
        shown = 255 - shown
    return np.where(padding, np.uint8(0), shown)


def _padding(values: np.ndarray, data: pydicom.Dataset) -> np.ndarray:
    """Return where values stand for what was not imaged (bool, as `values`): they are shown black and set no range."""
    if "PixelPaddingValue" not in data:
        return np.zeros(values.shape, bool)
    ends = [int(data.PixelPaddingValue), int(data.get("PixelPaddingRangeLimit", data.PixelPaddingValue))]
    return (values >= min(ends)) & (values <= max(ends))


def _through_window(values: np.ndarray, imaged: np.ndarray, data: pydicom.Dataset, window: Window) -> np.ndarray:
    """Return uint8 levels of modality values, by `window` as its docstring says; `imaged` ones set the range."""
    if window.center is not None:
        return to_levels(_voi_function(values, window.center, window.width, "LINEAR"))
    if not window.name and data.get("VOILUTSequence"):
        return _through_lut(values, data)
    windows = _windows(data)
    if window.name:
        windows = [one for one in windows if one[0].strip().casefold() == window.name.strip().casefold()]
        if not windows:
            raise UnreadableImageError("the file has no window of the name asked for")
    if not windows:
        return stretch(np.where(imaged, values, np.nan))
    _, center, width = windows[0]
    return to_levels(_voi_function(values, center, width, data.get("VOILUTFunction") or "LINEAR"))


def _windows(data: pydicom.Dataset) -> list[tuple[str, float, float]]:
    """Return name, center and width of the windows stored in a file, in its order."""
    centers, widths, names = (
        np.atleast_1d(data[tag].value).tolist() if data.get(tag) is not None else []
        for tag in ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation")
    )
    names += [""] * len(centers)  # explanations are optional
    return [
        (str(name), float(center), float(width)) for name, center, width in zip(names, centers, widths, strict=False)
    ]


def _through_lut(values: np.ndarray, data: pydicom.Dataset) -> np.ndarray:
    """Apply the first VOI LUT; its largest entry is white, whatever number of bits the file claims for them."""
    item = data.VOILUTSequence[0]
    entries, first, _ = item.LUTDescriptor
    lut = item.LUTData
    if isinstance(lut, bytes):
        words = "<u2" if data.file_meta.TransferSyntaxUID.is_little_endian else ">u2"
        lut = np.frombuffer(lut, words if len(lut) >= 2 * (entries or 2**16) else np.uint8)
    lut = np.asarray(lut, np.float64)
    places = np.clip(np.round(values) - first, 0, len(lut) - 1).astype(np.int64)
    return to_levels(lut[places] / max(lut.max(), 1))


def _voi_function(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """Return the share of full brightness (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    if not width > 0:
        raise UnreadableImageError("a DICOM window of no width")
    values = values.astype(np.float64)
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return (values - center) / width + 0.5
    return (values - (center - 0.5)) / max(width - 1, 1e-6) + 0.5

"""DICOM pixels as a radiologist's screen shows them: modality LUT, window, polarity, colour.

PS3.3 C.7.6.3 (photometric interpretation, padding in C.7.5.1), C.11.1 (modality LUT) and C.11.2 (VOI LUT, windows).
"""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi, pixel_array

from kmedtl.data.pixels import UnreadableImageError, check_pixels, stretch

# What pydicom and its decoders raise on broken files.
_DECODING_ERRORS = (
    ArithmeticError, AttributeError, BytesLengthException, EOFError, IndexError, InvalidDicomError, KeyError,
    NotImplementedError, RuntimeError, TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip


def read_dicom(path: Path) -> tuple[np.ndarray, str]:
    """Return uint8 pixels, (H, W) or (H, W, 3), of the middle frame, and a word on their encoding.

    Raises:
        UnreadableImageError: no image in the file, or one that cannot be decoded.
    """
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            data = pydicom.dcmread(path)
            return _pixels(data)
        except _DECODING_ERRORS as error:
            text = " ".join(str(error).split())[:160]
            raise UnreadableImageError(f"not a readable DICOM image ({text})") from None


def _pixels(data: pydicom.Dataset) -> tuple[np.ndarray, str]:
    if "PixelData" not in data:
        raise UnreadableImageError("the DICOM file holds no image")
    check_pixels(int(data.Columns), int(data.Rows))
    frames = int(data.get("NumberOfFrames", 1) or 1)
    stored = pixel_array(data, index=frames // 2)  # YBR becomes RGB here
    mode = f"{data.PhotometricInterpretation} {int(data.BitsStored)} bit"
    if data.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, data)
    if stored.ndim == 3:
        return _to_8_bit(stored), mode
    padding = _padding(stored, data)
    shown = _window(stored, padding, data)
    if data.PhotometricInterpretation == "MONOCHROME1":
        shown = 255 - shown
    return np.where(padding, np.uint8(0), shown), mode


def _to_8_bit(colour: np.ndarray) -> np.ndarray:
    """Colour is stored in 8 or in 16 bits, whatever a palette's entries use of them."""
    return colour if colour.dtype == np.uint8 else (colour >> 8).astype(np.uint8)


def _padding(stored: np.ndarray, data: pydicom.Dataset) -> np.ndarray:
    """Return where pixels lie outside what was imaged (bool, as `stored`): they are shown black and set no range."""
    if "PixelPaddingValue" not in data:
        return np.zeros(stored.shape, bool)
    ends = [int(data.PixelPaddingValue), int(data.get("PixelPaddingRangeLimit", data.PixelPaddingValue))]
    return (stored >= min(ends)) & (stored <= max(ends))


def _window(stored: np.ndarray, padding: np.ndarray, data: pydicom.Dataset) -> np.ndarray:
    """Apply the first VOI LUT or else the first window; without either, the range of the values imaged."""
    values = apply_modality_lut(stored, data)
    if "VOILUTSequence" in data:
        return stretch(apply_voi(values, data).astype(np.float64))
    values = values.astype(np.float64)
    if "WindowCenter" not in data or "WindowWidth" not in data:
        return stretch(np.where(padding, np.nan, values))
    center, width = (float(np.atleast_1d(data[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
    scaled = _voi_function(values, center, width, data.get("VOILUTFunction", "LINEAR") or "LINEAR")
    return np.round(np.clip(scaled, 0, 1) * 255).astype(np.uint8)


def _voi_function(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """Return the share of full brightness (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    if width <= 0:
        raise UnreadableImageError(f"a window of width {width:g}")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return (values - center) / width + 0.5
    return (values - (center - 0.5)) / max(width - 1, 1e-6) + 0.5

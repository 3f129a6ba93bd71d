"""DICOM pixels as a radiologist's screen shows them: modality LUT, window, polarity, colour.

PS3.3 C.7.6.3 (photometric interpretation), C.11.1 (modality LUT) and C.11.2 (VOI LUT, windows).
"""

from __future__ import annotations

import logging
import struct
import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array

from kmedtl.data.pixels import UnreadableImageError, check_pixels, stretch

# What pydicom and its decoders raise on broken files.
_DECODING_ERRORS = (
    AttributeError, BytesLengthException, IndexError, InvalidDicomError, KeyError, NotImplementedError,
    RuntimeError, TypeError, ValueError, struct.error, EOFError,
)  # fmt: skip


def read_dicom(path: Path) -> tuple[np.ndarray, str]:
    """Return uint8 pixels, (H, W) or (H, W, 3), of the middle frame, and a word on their encoding.

    Raises:
        UnreadableImageError: no image in the file, or one that cannot be decoded.
    """
    logging.getLogger("pydicom").setLevel(logging.ERROR)
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
    rows, columns, frames = int(data.Rows), int(data.Columns), int(data.get("NumberOfFrames", 1) or 1)
    check_pixels(columns, rows)
    if not hasattr(data.file_meta, "TransferSyntaxUID"):
        data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    stored = pixel_array(data, index=frames // 2)
    mode = f"{data.PhotometricInterpretation} {int(data.BitsStored)} bit"
    if data.PhotometricInterpretation == "PALETTE COLOR":
        stored = pydicom.pixels.apply_color_lut(stored, data)
    if stored.ndim == 3:
        return stored if stored.dtype == np.uint8 else (stored >> 8).astype(np.uint8), mode
    shown = _window(stored, data)
    return 255 - shown if data.PhotometricInterpretation == "MONOCHROME1" else shown, mode


def _window(stored: np.ndarray, data: pydicom.Dataset) -> np.ndarray:
    """Apply the first VOI LUT or window; without one, the range of the values themselves."""
    values = apply_modality_lut(stored, data)
    if "VOILUTSequence" in data:
        shown = apply_voi_lut(values, data, prefer_lut=True)
        return stretch(shown.astype(np.float32))
    if "WindowCenter" not in data or "WindowWidth" not in data:
        return stretch(values.astype(np.float32))
    center, width = (float(np.atleast_1d(data[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
    # PS3.3 C.11.2.1.2.1, the LINEAR function.
    scaled = (values.astype(np.float32) - (center - 0.5)) / max(width - 1, 1) + 0.5
    return np.round(np.clip(scaled, 0, 1) * 255).astype(np.uint8)

"""One way from a file to pixels, for training, evaluation and the scanner alike.

Imports neither TensorFlow nor Keras: `kmedtl.edge` calls the same function.
"""

from __future__ import annotations

import stat
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from kmedtl.data.pixels import UnreadableImageError, check_pixels, stretch

READER_VERSION = 2  # part of the store's key: raise it whenever the pixels of any file change
MAX_BYTES = 1_000_000_000
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF")
# What Pillow's readers raise on damaged files.
DECODING_ERRORS = (
    OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError, IndexError, ArithmeticError, zlib.error,
    struct.error, Image.DecompressionBombError,
)  # fmt: skip
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".dcm", ".dicom"})


@dataclass(frozen=True)
class Picture:
    """A decoded image: `pixels` is uint8 (size, size, channels); the rest is as found in the file."""

    pixels: np.ndarray
    width: int
    height: int
    mode: str


def read_image(path: str | Path, size: int, channels: int) -> Picture:
    """Decode PNG, JPEG, TIFF, BMP, GIF or DICOM and resize it to a square (aspect ratio not kept).

    Colour becomes luma where one channel is asked for (ITU-R BT.601), gray is repeated where three are.
    More than 8 bits are windowed (DICOM) or scaled by their full range before they are quantised.

    Raises:
        UnreadableImageError: with the reason in a few words.
    """
    path = Path(path)
    _check_file(path)
    try:
        image, mode = _decode_dicom(path) if _is_dicom(path) else _decode_picture(path)
    except UnidentifiedImageError:
        raise UnreadableImageError("not a PNG, JPEG, TIFF, BMP, GIF or DICOM file") from None
    except DECODING_ERRORS as error:
        raise UnreadableImageError(_reason(error)) from None
    except MemoryError:
        raise UnreadableImageError("needs more memory than there is") from None
    width, height = image.size
    return Picture(_to_pixels(image, size, channels), width, height, mode)


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise UnreadableImageError(_reason(error)) from None
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImageError("not a regular file")
    if status.st_size == 0:
        raise UnreadableImageError("the file is empty (0 bytes)")
    if status.st_size > MAX_BYTES:
        raise UnreadableImageError(f"{status.st_size} bytes, more than the limit of {MAX_BYTES}")


def _is_dicom(path: Path) -> bool:
    """Tell by the magic bytes, or by the suffix for files written without the preamble."""
    with path.open("rb") as file:
        preamble = file.read(132)
    return preamble[128:] == b"DICM" or path.suffix.lower() in {".dcm", ".dicom"}


def _decode_dicom(path: Path) -> tuple[Image.Image, str]:
    from kmedtl.data.dicom import read_dicom  # pydicom is slow to import, and most sets have none

    array, mode = read_dicom(path)
    return Image.fromarray(array), mode


def _decode_picture(path: Path) -> tuple[Image.Image, str]:
    with warnings.catch_warnings():
        # Pillow warns from half of its own limit on and about odd metadata; the bound here is ours.
        warnings.simplefilter("ignore")
        with Image.open(path, formats=FORMATS) as image:
            check_pixels(image.width, image.height)
            mode = image.mode
            image.load()
            return ImageOps.exif_transpose(_to_8_bit(image)), mode


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit and float gray to 8 bits by full range; lay transparency and palettes out as RGB."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image, np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        return Image.fromarray(stretch(np.asarray(image, np.float32)))
    if image.mode in ("1", "L", "RGB"):
        return image.convert("L") if image.mode == "1" else image
    if image.mode == "LA":
        return image.convert("L")
    return image.convert("RGB")


def _to_pixels(image: Image.Image, size: int, channels: int) -> np.ndarray:
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(size, size, channels)


def _reason(error: Exception) -> str:
    """One line without the path: paths may carry names of patients."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()).lower()[:200] or type(error).__name__

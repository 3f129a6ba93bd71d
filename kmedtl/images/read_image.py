"""One way from a file to pixels, for training, evaluation and the scanner alike.

Imports neither TensorFlow nor Keras: `kmedtl.edge` calls the same function.
"""

from __future__ import annotations

import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from kmedtl.images.file_kinds import is_dicom
from kmedtl.images.pixels import UnreadableImageError, check_pixels, stretch, to_levels, voi_share
from kmedtl.images.placement import in_square, placement
from kmedtl.images.png_rows import check_rows
from kmedtl.images.reading import Reading

READER_VERSION = 7  # part of the store's key: raise it whenever the pixels of any file, or its facts, change
MAX_BYTES = 1_000_000_000
DRAFT = 2  # JPEGs are decoded at no less than this many times the size asked for
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")  # Pillow's names; PPM is all of PNM
FORMAT_NAMES = "PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000, PGM/PPM or DICOM"
PHOTOMETRIC = 262  # the TIFF tag PhotometricInterpretation
PAGED = ("TIFF", "GIF", "WEBP", "PNG")  # formats whose files may hold further pages
# Magic bytes of formats that are named rather than called unknown.
OTHER_FORMATS = {
    b"II*\0": "a TIFF whose samples are not read, such as 64-bit float", b"MM\0*": "a TIFF whose samples are not read",
    b"II+\0": "a BigTIFF, which is not read; save it as TIFF", b"MM\0+": "a BigTIFF, which is not read",
    b"\x1f\x8b": "a gzip file, perhaps NIfTI, which is not read", b"PK": "a zip archive", b"%PDF": "a PDF",
    b"<": "a text or web page, not an image", b"\x93NUMPY": "a NumPy array, which is not read as an image",
    b"8BPS": "a Photoshop file, which is not read",
}  # fmt: skip
# What Pillow's readers raise on damaged files.
DECODING_ERRORS = (
    OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError, IndexError, ArithmeticError, zlib.error,
    struct.error, Image.DecompressionBombError,
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A decoded image: `pixels` is uint8 (size, size, channels); the rest is as found in the file.

    Attributes:
        width, height: of the file's image, upright, in pixels.
        mode: Pillow's, or DICOM's photometric interpretation.
        bits: of a sample, as stored.
        burned_in: the file says that its pixels show text that may name the patient (DICOM's Burned In Annotation).
        more_pages: a TIFF, GIF or WebP file holds further pictures, of which none is read.
        row_spacing, column_spacing: distances between its rows and between its columns in mm, as DICOM files may state
            them; 0: unknown. The dots per inch of other formats are those of a printer.
        slice_spacing: distance to the next slice of its volume in mm; 0: it is no slice.
    """

    pixels: np.ndarray
    width: int
    height: int
    mode: str
    bits: int
    burned_in: bool = False
    more_pages: bool = False
    row_spacing: float = 0.0
    column_spacing: float = 0.0
    slice_spacing: float = 0.0


def read_image(path: str | Path, reading: Reading, frame: int | None = None) -> Picture:
    """Decode an image file of one of `FORMAT_NAMES` and resize it to a square, as `reading.aspect` says.

    Colour becomes luma where one channel is asked for (ITU-R BT.601), gray is repeated where three are. Gray of more
    than 8 bits a sample is quantised by one rule, whatever the format: through `reading.window`, else through what a
    DICOM file names, else from the smallest to the largest value of the image.

    `frame` counts from 0; None is the middle one of a DICOM file. Of other formats, the first page alone is read.

    Raises:
        UnreadableImageError: with the reason in a few words.
    """
    path = Path(path)
    with readable(path):
        if is_dicom(path):
            return _dicom_picture(path, reading, frame)
        if frame not in (None, 0):
            raise UnreadableImageError(f"no frame {frame}: only DICOM files have several")
        return _plain_picture(path, reading)


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Check that a file may be opened, and turn what Pillow raises while it is decoded into a reason.

    Raises:
        UnreadableImageError: the file is none, empty or too large, or what is done with it fails.
    """
    path = Path(path)
    _check_file(path)
    try:
        yield
    except UnidentifiedImageError:
        raise UnreadableImageError(_unknown(path)) from None
    except DECODING_ERRORS as error:
        raise UnreadableImageError(_reason(error)) from None
    except MemoryError:
        raise UnreadableImageError("needs more memory than there is") from None


def from_array(image: np.ndarray, reading: Reading) -> np.ndarray:
    """Return an image in memory as `read_image` returns the same values in a file: uint8 (size, size, channels).

    Args:
        image: gray (H, W) or (H, W, 1), of any kind of number; uint8 (H, W, 3) or (H, W, 4) is RGB or RGBA.

    Raises:
        UnreadableImageError: another shape, numbers that no image has, or too many pixels.
    """
    flat = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    is_colour = flat.ndim == 3 and flat.shape[2] in (3, 4) and flat.dtype == np.uint8
    if flat.ndim != 2 and not is_colour:
        raise UnreadableImageError(
            f"expected an array of gray (H, W), or uint8 (H, W, 3). Received: {image.dtype} {image.shape}"
        )
    check_pixels(flat.shape[1], flat.shape[0])
    if flat.dtype.kind not in "buif":
        raise UnreadableImageError(f"expected an array of numbers. Received: {image.dtype}")
    if flat.dtype == bool:
        flat = flat * np.uint8(255)
    elif flat.dtype != np.uint8:
        flat = _levels(flat, reading)
    picture = _to_8_bit(Image.fromarray(np.ascontiguousarray(flat)), reading)
    return _to_square(picture, reading)


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


def _dicom_picture(path: Path, reading: Reading, frame: int | None) -> Picture:
    from kmedtl.images.dicom import read_dicom  # pydicom is slow to import, and most sets have none

    found = read_dicom(path, reading.window, frame)
    height, width = found.pixels.shape[:2]
    square = _to_square(Image.fromarray(found.pixels), reading)
    rows, columns = found.spacing
    return Picture(
        square, width, height, found.mode, found.bits, found.burned_in, row_spacing=rows, column_spacing=columns
    )


def _plain_picture(path: Path, reading: Reading) -> Picture:
    with warnings.catch_warnings():
        # Pillow warns from half of its own limit on and about odd metadata; the bound here is ours.
        warnings.simplefilter("ignore")
        # Not by its name: Pillow 12 maps an uncompressed TIFF that lies on its side with its sides mixed up.
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
            check_pixels(image.width, image.height)
            width, height, mode = image.width, image.height, image.mode
            box = _draft(image, reading)
            image.load()
            if image.format == "PNG":
                check_rows(path, image)
            if lies_on_its_side(image):
                width, height = height, width
            shown = _to_8_bit(image, reading)
            shown.info = image.info  # the orientation, which is lost on the way through NumPy
            square = _to_square(shown, reading, (width, height), box)
            return Picture(square, width, height, mode, _bits(mode), more_pages=_has_more_pages(image))


def lies_on_its_side(image: Image.Image) -> bool:
    """Tell whether its EXIF orientation turns a decoded image by a quarter; Pillow has turned TIFF images already."""
    return image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)


def _draft(image: Image.Image, reading: Reading) -> tuple[float, float, float, float] | None:
    """Let JPEG's decoder deliver an eighth, a quarter or a half of a large image; return the box that it now fills.

    A third to two thirds of the work at 1500–2500 px, where undoing the entropy coding, which nothing spares, is most
    of it. Against full decoding, 224 px differ by 0.13 to 0.33 gray levels on average and by 4 at most: 60 X-rays
    enlarged, with noise of 4 and 12 levels; tests/images/test_read_image.py has one like them.
    """
    if reading.whole:
        return None
    enough = DRAFT * reading.size
    found = image.draft("L" if reading.channels == 1 else None, (enough, enough))
    return found and found[1]


def _bits(mode: str) -> int:
    return {"1": 1, "I": 32, "F": 32}.get(mode, 16 if mode.startswith("I;16") else 8)


def _to_8_bit(image: Image.Image, reading: Reading) -> Image.Image:
    """Quantise deep gray to 8 bits; lay transparency and palettes out as RGB."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image, np.uint16 if image.mode.startswith("I;16") else None)
        levels = _levels(values, reading)
        return Image.fromarray(255 - levels if _is_white_at_zero(image) else levels)
    if image.mode in ("1", "L", "RGB"):
        return image.convert("L") if image.mode == "1" else image
    if image.mode == "LA":
        return image.convert("L")
    return image.convert("RGB")


def _levels(values: np.ndarray, reading: Reading) -> np.ndarray:
    """Return uint8 levels of deep gray values (H, W), through the window of `reading` or their own range."""
    window = reading.window
    if window.center is not None and window.width is not None:
        return to_levels(np.nan_to_num(voi_share(values - reading.pixel_offset, window.center, window.width)))
    if window.name:
        raise UnreadableImageError(f"only DICOM files name windows, such as {window.name}; set data.window.center")
    return stretch(values)


def _is_white_at_zero(image: Image.Image) -> bool:
    """Tell whether a deep TIFF counts from white to black, which Pillow turns round for 8 bits alone."""
    return image.format == "TIFF" and getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0


def _has_more_pages(image: Image.Image) -> bool:
    """Tell whether a second page follows; no further one is decoded."""
    if image.format not in PAGED:
        return False
    try:
        image.seek(1)
    except EOFError:
        return False
    except DECODING_ERRORS:
        return True  # a damaged one follows
    return True


def _unknown(path: Path) -> str:
    """Say what a file that Pillow does not know seems to be."""
    with path.open("rb") as file:
        start = file.read(8).lstrip()
    kinds = [kind for magic, kind in OTHER_FORMATS.items() if start.startswith(magic)]
    return kinds[0] if kinds else f"not a {FORMAT_NAMES} file"


def _to_square(
    image: Image.Image,
    reading: Reading,
    upright: tuple[int, int] | None = None,
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """Return an image in its place in the square, uint8 (size, size, channels), or as large as it is.

    Args:
        upright: width and height of the file's image, upright; None: `image` is that, and in full.
        box: the part of `image` to take, left, upper, right and lower; None: all.
    """
    image = image.convert("L" if reading.channels == 1 else "RGB")
    if reading.whole:
        turned = ImageOps.exif_transpose(image)
        return np.asarray(turned, np.uint8).reshape(turned.height, turned.width, reading.channels)
    place = placement(*(upright or image.size), reading.size, reading.aspect)
    size = (place.height, place.width) if lies_on_its_side(image) else (place.width, place.height)
    turned = ImageOps.exif_transpose(
        image if image.size == size else image.resize(size, Image.Resampling.BILINEAR, box)
    )
    pixels = np.asarray(turned, np.uint8).reshape(place.height, place.width, reading.channels)
    return in_square(pixels, place, reading.size)


def _reason(error: Exception) -> str:
    """One line without the path: paths may carry names of patients."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()).lower()[:200] or type(error).__name__

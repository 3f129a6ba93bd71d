"""What the pixels of a mask file say: gray levels, numbers of structures, or colours."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from kmedtl.images.pixels import UnreadableImageError, check_pixels
from kmedtl.images.png_rows import check_rows
from kmedtl.images.read_image import FORMATS, readable

LOSSY = ("JPEG", "WEBP", "JPEG2000")  # formats that blur a mask's borders, or may
NOISE = 24  # levels of 255 that lossy coding moves a value by


@dataclass(frozen=True)
class MaskValues:
    """A decoded mask, upright.

    Attributes:
        codes: int32 (H, W): gray levels or numbers as stored, or of a colour mask red · 65536 + green · 256 + blue.
        is_colour: what `codes` are.
        full: the largest value of the file's depth, 255 or 65535; of 32 bits 0.
        lossy: the format does not keep values as they were.
    """

    codes: np.ndarray
    is_colour: bool
    full: int
    lossy: bool


def read_values(path: str | Path, by_index: bool, by_colour: bool) -> MaskValues:
    """Decode the first page of a mask file, bounded as images are.

    A colour image whose red, green and blue agree everywhere is a gray one. What is transparent is background. The
    values of an image with a palette are

    - the gray levels that it shows, where its palette is gray: others store such masks with white at index 0,
    - the colours that it shows, where structures are named by colour, or where black is one of its colours and no
      structure is named by value,
    - else its indices, as label maps are stored.

    Args:
        by_index, by_colour: some structure is named by a number, or by a colour.

    Raises:
        UnreadableImageError: with the reason in a few words.
    """
    with readable(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Not by its name: Pillow 12 maps an uncompressed TIFF that lies on its side with its sides mixed up.
        with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
            check_pixels(image.width, image.height)
            image.load()
            if image.format == "PNG":
                check_rows(Path(path), image)
            upright = ImageOps.exif_transpose(image)
            is_lossy = image.format in LOSSY
            codes, is_colour = _codes(upright, by_index, by_colour, NOISE if is_lossy else 0)
            full = 0 if upright.mode in ("I", "F") else 65535 if upright.mode.startswith("I;16") else 255
            return MaskValues(codes, is_colour, full, is_lossy)


def _codes(image: Image.Image, by_index: bool, by_colour: bool, noise: int) -> tuple[np.ndarray, bool]:
    """Return codes as of `MaskValues`, and whether they are colours; `noise` as of `_packed`."""
    if image.mode == "P" and not _is_read_as_it_looks(image, by_index, by_colour):
        return np.asarray(image).astype(np.int32), False
    if image.mode == "1":
        return np.asarray(image).astype(np.int32) * 255, False
    if image.mode == "L" or image.mode.startswith("I"):
        return np.asarray(image).astype(np.int32), False
    if image.mode == "F":
        return _whole(np.asarray(image)), False
    is_clear = image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info
    pixels = np.asarray(image.convert("RGBA" if is_clear else "RGB"))
    return _packed(_on_black(pixels) if is_clear else pixels, noise)


def _is_read_as_it_looks(image: Image.Image, by_index: bool, by_colour: bool) -> bool:
    """Tell whether what an image with a palette shows is meant, not the indices; see `read_values`."""
    used = np.unique(np.asarray(image))
    table = np.zeros((256, 3), np.uint8)
    entries = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    table[: len(entries)] = entries
    colours = table[used]
    is_gray = (colours == colours[:, :1]).all() and len(np.unique(colours[:, 0])) == len(used)
    has_black = len(used) > 1 and (~colours.any(axis=1)).any()
    return bool(is_gray or by_colour or (has_black and not by_index))


def _whole(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all() or np.abs(values).max() >= 2**31 or (values != np.round(values)).any():
        raise UnreadableImageError("a mask of fractions; save it as whole numbers")
    return values.astype(np.int32)


def _on_black(pixels: np.ndarray) -> np.ndarray:
    """Return RGBA (H, W, 4) as RGB over black; where all is black, its opacity is the mask."""
    colours, opacity = pixels[..., :3], pixels[..., 3:]
    if not colours.any() and opacity.min() < opacity.max():
        return np.repeat(opacity, 3, axis=2)
    return np.rint(colours * (opacity / np.float32(255))).astype(np.uint8)


def _packed(pixels: np.ndarray, noise: int) -> tuple[np.ndarray, bool]:
    """Return the codes of uint8 RGB (H, W, 3), and whether they are colours: channels differ by more than `noise`."""
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    if max(np.abs(red - green).max(), np.abs(blue - green).max()) <= noise:
        return green, False
    return red << 16 | green << 8 | blue, True


def distinct(codes: np.ndarray) -> np.ndarray:
    """Return the codes that occur, int32 in ascending order."""
    if codes.min() < 0 or codes.max() > 65535:
        return np.unique(codes)
    return np.flatnonzero(np.bincount(codes.ravel())).astype(np.int32)  # ten times as fast


def levels(codes: np.ndarray, is_colour: bool) -> np.ndarray:
    """Return how bright codes are: themselves, or the brightest of a colour's channels, int32."""
    if not is_colour:
        return codes
    return np.maximum(np.maximum(codes >> 16, codes >> 8 & 255), codes & 255)


def is_soft(mask: MaskValues) -> bool:
    """Tell whether a mask has values in between, as anti-aliasing and lossy formats make them along borders.

    That is so where it reaches half of its depth, holds values below its largest, and most of those that are not near
    either end lie in no 2 × 2 block of their own value. Areas do, whether of labels or of instances.
    """
    bright = levels(mask.codes, mask.is_colour)
    largest = int(bright.max())
    if not mask.full or 2 * largest < mask.full:
        return False
    between = (bright > 0) & (bright < largest)
    if mask.lossy or not between.any():
        return bool(between.any())
    noise = NOISE * mask.full // 255
    middle = between & (bright > noise) & (bright < largest - noise)
    looked_at = middle if middle.any() else between
    return bool(2 * (looked_at & _in_blocks(mask.codes)).sum() < looked_at.sum())


def _in_blocks(codes: np.ndarray) -> np.ndarray:
    """Return which pixels lie in a 2 × 2 block of one value, bool (H, W)."""
    framed = np.pad(codes, 1, constant_values=-1)
    across, down = framed[:, 1:] == framed[:, :-1], framed[1:] == framed[:-1]
    block = across[1:] & across[:-1] & down[:, 1:] & down[:, :-1]  # (H + 1, W + 1), by their lower right pixel
    return block[1:, 1:] | block[:-1, 1:] | block[1:, :-1] | block[:-1, :-1]

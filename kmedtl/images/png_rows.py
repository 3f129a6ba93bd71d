"""Whether a PNG file holds all of its rows: decoders leave the missing ones black without a word.

Source: PNG specification, third edition, sections 5.3 (chunks), 8 (interlacing) and 11.2.1 (IHDR).
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from kmedtl.images.pixels import UnreadableImageError

SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by colour type
# First column and row, then steps between columns and rows, of each pass of Adam7.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
BLOCK = 1 << 20  # bytes inflated at a time


def check_rows(path: Path, image: Image.Image) -> None:
    """Raise `UnreadableImageError` where the decoded PNG file `path` holds fewer rows than it declares.

    The file is inflated once more only where rows may be missing: its last one is all zero, or its rows are interlaced.
    """
    if image.info.get("interlace") or not np.asarray(image.crop((0, image.height - 1, *image.size))).any():
        expected, found = _bytes_of_rows(path)
        if found < expected:
            raise UnreadableImageError("its rows end early")


def _bytes_of_rows(path: Path) -> tuple[int, int]:
    """Return how many bytes of filtered rows the header declares, and how many there are, no more than that."""
    expected, found, inflate = 0, 0, zlib.decompressobj()
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            wanted = kind in (b"IHDR", b"IDAT")
            content = file.read(length) if wanted else b""
            file.seek(4 if wanted else length + 4, 1)  # the checksum, which the decoder has looked at
            if kind == b"IHDR":
                expected = _declared(content)
            elif kind == b"IDAT":
                while content and found < expected:
                    found += len(inflate.decompress(content, BLOCK))
                    content = inflate.unconsumed_tail
    return expected, found


def _declared(header: bytes) -> int:
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header[:13])
    bits = depth * SAMPLES[colour]
    passes = PASSES if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // across), -(-(height - y) // down)) for x, y, across, down in passes]
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in sizes if columns > 0 and rows > 0)

"""Decoding many files, in workers that may die of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from kmedtl.images.file_kinds import DICOM_SUFFIXES
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_image import Picture, read_image
from kmedtl.images.reading import Reading
from kmedtl.images.workers import Failure, Job, in_workers

MAX_SECONDS = 20.0  # for one file; a 100-megapixel one takes 1 to 8


@dataclass(frozen=True)
class Facts:
    """What is known of one file: as in `Picture`; `error`, "" where it is readable.

    `sha256` is of the file's bytes, with `#` and the number of a frame that was asked for.
    """

    width: int = 0
    height: int = 0
    mode: str = ""
    bits: int = 0
    burned_in: bool = False
    more_pages: bool = False
    row_spacing: float = 0.0
    column_spacing: float = 0.0
    sha256: str = ""
    error: str = ""


Answer = tuple[Facts, np.ndarray | None]


def decode_all(
    files: Sequence[tuple[str, int | None]], reading: Reading, seconds: float = MAX_SECONDS
) -> Iterator[Answer]:
    """Yield the facts and the uint8 pixels (size, size, C), None where unreadable, of each (path, frame), in order.

    Shows a progress bar. A file that takes longer than `seconds` is unreadable.

    Raises:
        UserError: the workers cannot start.
    """
    has_dicom = any(Path(path).suffix.lower() in DICOM_SUFFIXES for path, _ in files)
    modules = ("kmedtl.images.dicom",) if has_dicom else ()
    for answer in in_workers(Job(partial(decode, reading=reading), seconds, modules), files, "Decoding images"):
        yield (Facts(error=answer.reason), None) if isinstance(answer, Failure) else answer


def decode(file: tuple[str, int | None], reading: Reading) -> Answer:
    """Decode one (path, frame) here and now; `decode_all` is for files that may be damaged."""
    path, frame = file
    try:
        picture = read_image(path, reading, frame)
        with open(path, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest() + ("" if frame is None else f"#{frame}")
    except UnreadableImageError as error:
        return Facts(error=str(error)), None
    except OSError:
        return Facts(error="it changed while it was read"), None
    facts = {field.name: getattr(picture, field.name) for field in fields(Picture) if field.name != "pixels"}
    return Facts(**facts, sha256=digest), picture.pixels

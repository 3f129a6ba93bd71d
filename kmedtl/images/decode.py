"""Decoding many files, in workers that may die of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from kmedtl.images.file_kinds import DICOM_SUFFIXES
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_image import Picture, read_image
from kmedtl.images.read_volume import read_volume
from kmedtl.images.reading import Reading
from kmedtl.images.slices import MEMORY, is_volume, pictures
from kmedtl.images.workers import Failure, Job, Worker, in_workers

MAX_SECONDS = 20.0  # for one file; a 100-megapixel one takes 1 to 8
VOLUME_SECONDS = 120.0  # for the slices of one volume


@dataclass(frozen=True)
class Facts:
    """What is known of one file: as in `Picture`; `error`, "" where it is readable.

    `sha256` is of the file's bytes, with `#` and the number of a frame or slice that was asked for.
    """

    width: int = 0
    height: int = 0
    mode: str = ""
    bits: int = 0
    burned_in: bool = False
    more_pages: bool = False
    row_spacing: float = 0.0
    column_spacing: float = 0.0
    slice_spacing: float = 0.0
    sha256: str = ""
    error: str = ""


Decoded = tuple[Facts, np.ndarray | None]  # what is known of a file, and its pixels where it could be read


@dataclass(frozen=True)
class Slices:
    """Which slices of a volume are wanted, and the file, `.npy`, that their pixels are written to."""

    path: str
    indices: tuple[int, ...]
    target: Path


def decode_all(
    files: Sequence[tuple[str, int | None]],
    reading: Reading,
    seconds: float = MAX_SECONDS,
    first: Worker | None = None,
) -> Iterator[Decoded]:
    """Yield the facts and the uint8 pixels (size, size, C), None where unreadable, of each (path, frame), in order.

    Shows a progress bar. A file that takes longer than `seconds` is unreadable. A volume is opened once, whatever the
    order in which its slices are wanted: their pixels wait in the temporary folder.

    Args:
        first: of `kmedtl.images.workers.worker_at_hand`; it decodes images, no volumes.

    Raises:
        UserError: the workers cannot start.
    """
    images = [file for file in files if not is_volume(file[0])]
    has_dicom = any(Path(path).suffix.lower() in DICOM_SUFFIXES for path, _ in images)
    modules = ("kmedtl.images.dicom",) if has_dicom else ()
    decoded = in_workers(Job(partial(decode, reading=reading), seconds, modules), images, "Decoding images", first)
    with tempfile.TemporaryDirectory(prefix="kmedtl-slices-") as folder:
        slices = _decode_volumes(files, reading, Path(folder))
        for path, frame in files:
            answer = _waiting(slices[path], frame or 0) if path in slices else next(decoded)
            yield (Facts(error=answer.reason), None) if isinstance(answer, Failure) else answer


def decode(file: tuple[str, int | None], reading: Reading) -> Decoded:
    """Decode one (path, frame) here and now; `decode_all` is for files that may be damaged."""
    path, frame = file
    try:
        picture = read_image(path, reading, frame)
        digest = _digest(path) + ("" if frame is None else f"#{frame}")
    except UnreadableImageError as error:
        return Facts(error=str(error)), None
    except OSError:
        return Facts(error="it changed while it was read"), None
    return _facts(picture, digest), picture.pixels


def decode_slices(wanted: Slices, reading: Reading) -> tuple[Facts, ...] | Failure:
    """Write the pixels of slices, uint8 (n, size, size, C), and return what is known of each."""
    try:
        volume = read_volume(wanted.path)
        digest = _digest(wanted.path)
        shape = (len(wanted.indices), reading.size, reading.size, reading.channels)
        pixels = np.lib.format.open_memmap(wanted.target, "w+", np.uint8, shape)
        facts = []
        for number, picture in enumerate(pictures(volume, reading, wanted.indices)):
            pixels[number] = picture.pixels
            facts.append(_facts(picture, f"{digest}#{wanted.indices[number]}"))
        pixels.flush()
    except UnreadableImageError as error:
        return Failure(str(error))
    except MemoryError:
        return Failure("needs more memory than there is")
    except OSError:
        return Failure("it changed while it was read, or the temporary folder is full")
    return tuple(facts)


_OfVolume = tuple[Slices, tuple[Facts, ...] | Failure]


def _decode_volumes(files: Sequence[tuple[str, int | None]], reading: Reading, folder: Path) -> dict[str, _OfVolume]:
    """Return what is known of the wanted slices of each volume, their pixels being in `folder`."""
    indices: dict[str, set[int]] = {}
    for path, frame in files:
        if is_volume(path):
            indices.setdefault(path, set()).add(frame or 0)
    wanted = [
        Slices(path, tuple(sorted(each)), folder / f"{number}.npy")
        for number, (path, each) in enumerate(indices.items())
    ]
    job = Job(partial(decode_slices, reading=reading), VOLUME_SECONDS, memory=MEMORY)
    answers = in_workers(job, wanted, "Decoding volumes")
    return {one.path: (one, answer) for one, answer in zip(wanted, answers, strict=True)}


def _waiting(decoded: _OfVolume, index: int) -> Decoded | Failure:
    wanted, facts = decoded
    if isinstance(facts, Failure):
        return facts
    place = wanted.indices.index(index)
    return facts[place], np.array(np.load(wanted.target, mmap_mode="r")[place])


def _digest(path: str) -> str:
    """Return SHA-256 of a file, or of the files of a folder, hexadecimal."""
    from hashlib import file_digest, sha256  # brings OpenSSL, 4 MB, which a process that only predicts can do without

    if Path(path).is_dir():
        files = sorted(file for file in Path(path).iterdir() if file.is_file())
        return sha256("\n".join(_digest(str(file)) for file in files).encode()).hexdigest()
    with open(path, "rb") as content:
        return file_digest(content, "sha256").hexdigest()


def _facts(picture: Picture, digest: str) -> Facts:
    known = {field.name: getattr(picture, field.name) for field in fields(Picture) if field.name != "pixels"}
    return Facts(**known, sha256=digest)

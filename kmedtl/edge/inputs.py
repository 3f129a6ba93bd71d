"""Which files to answer: as named, out of folders, from a list, or one image that comes through stdin."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kmedtl.errors import UserError
from kmedtl.images.file_kinds import SUFFIXES, is_dicom, is_nifti
from kmedtl.images.read_image import FORMAT_NAMES, MAX_BYTES
from kmedtl.system.printable import shown

STDIN = "-"


@contextmanager
def gathered(named: Sequence[str], listed_in: str | None = None, volumes: bool = False) -> Iterator[dict[str, str]]:
    """Yield where each image lies, by the name it is answered under; an image of stdin lies in a file meanwhile.

    Args:
        named: files; folders, of which all images count, in order of their names; `-` for an image through stdin.
        listed_in: a file with the name of a file or folder a line; `-` for stdin.
        volumes: of a folder NIfTI files count, and each folder that holds DICOM files, as the series that they are.

    Raises:
        UserError: no image at all, a folder without one, a list that cannot be read, or stdin wanted twice.
    """
    if STDIN in named and (listed_in == STDIN or list(named).count(STDIN) > 1):
        raise UserError("stdin: expected one image or one list. Received: both, or one of them twice.")
    names = [*named, *(lines_of(listed_in) if listed_in else ())]
    if not names:
        raise UserError(
            "images: expected files, folders, '-' for an image from stdin, or --files-from. Received: none."
        )
    with tempfile.TemporaryDirectory() as aside:
        stdin = Path(aside) / "stdin"
        yield {
            path: _from_stdin(stdin) if path == STDIN else path
            for name in names
            for path in ([STDIN] if name == STDIN else _volumes(name) if volumes else _files(name))
        }


def lines_of(listed_in: str) -> list[str]:
    """Return the lines of a file that are not empty; `-` for stdin.

    Raises:
        UserError: it cannot be read.
    """
    try:
        text = sys.stdin.read() if listed_in == STDIN else Path(listed_in).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{listed_in}: expected a file with a name a line ({error}).") from None
    return [line for line in text.splitlines() if line]


def _files(name: str) -> list[str]:
    folder = Path(name)
    if not folder.is_dir():
        return [name]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    images = [str(path) for path in files if path.suffix.lower() in SUFFIXES or is_nifti(path) or is_dicom(path)]
    if not images:
        raise UserError(
            f"{name}: expected a folder with images ({FORMAT_NAMES}). Received: {_counted(files) or 'an empty folder'}."
        )
    if len(images) < len(files):
        print(f"{shown(name)}: {len(files) - len(images)} files that are no images are left out.", file=sys.stderr)
    return images


def _volumes(name: str) -> list[str]:
    folder = Path(name)
    if not folder.is_dir():
        return [name]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found = dict.fromkeys(path if is_nifti(path) else path.parent for path in files if is_nifti(path) or is_dicom(path))
    if not found:
        received = _counted(files) or "an empty folder"
        raise UserError(f"{name}: expected a folder with NIfTI files or DICOM series. Received: {received}.")
    return [str(path) for path in found]


def _counted(files: Sequence[Path]) -> str:
    """Return how many files there are of each suffix."""
    counts = Counter(path.suffix.lower() or "without a suffix" for path in files)
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(5))


def _from_stdin(target: Path) -> str:
    with target.open("wb") as file:
        left = MAX_BYTES + 1  # one more than is read: the reader says that it is too large
        while left and (block := sys.stdin.buffer.read(min(left, 1 << 20))):
            file.write(block)
            left -= len(block)
    return str(target)

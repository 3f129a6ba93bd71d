"""Where kmedtl keeps what it can make again: decoded images, and files laid out from phantoms, arrays and TFDS sets.

The folder `dicom`, links that manifests point to, is none of `KINDS`: clearing the cache must leave it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kmedtl.errors import UserError

UNFINISHED = ".unfinished"
KINDS = ("stores", "phantom", "arrays", "tfds")


@dataclass(frozen=True)
class Entry:
    """One thing in the cache: `kind` is a name of `KINDS`, `size` is in bytes, `made` in seconds since 1970."""

    kind: str
    path: Path
    size: int
    made: float


def entries() -> list[Entry]:
    """Return what the cache holds, oldest first, leftovers of killed runs included."""
    folders = [(kind, path) for kind in KINDS for path in (cache_folder() / kind).glob("*")]
    found = [Entry(kind, path, _size(path), path.stat().st_mtime) for kind, path in folders]
    return sorted(found, key=lambda entry: entry.made)


def is_unfinished(folder: Path) -> bool:
    """Tell whether a run is still writing this, or was killed while it did."""
    return folder.suffix == UNFINISHED


def cache_folder() -> Path:
    """Return `$KMEDTL_CACHE`, else `$XDG_CACHE_HOME/kmedtl`, else `~/.cache/kmedtl`."""
    if "KMEDTL_CACHE" in os.environ:
        return Path(os.environ["KMEDTL_CACHE"]).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser().absolute() / "kmedtl"


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return `folder`, filled by `make` if it is not there yet; it is complete or absent, whoever else makes it too.

    Raises:
        UserError: the cache cannot be written.
    """
    if folder.exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=UNFINISHED, dir=folder.parent))
    except OSError as error:
        raise UserError(
            f"{folder.parent}: cannot be written ({error.strerror}); set KMEDTL_CACHE to a folder."
        ) from None
    try:
        make(unfinished)
        if not folder.exists():
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def stamp(path: str | Path) -> str:
    """Return what changes when a file does, its permissions included; a file that is not there has a stamp too."""
    try:
        status = Path(path).stat()
    except OSError:
        return "absent"
    return "-".join(map(str, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)))


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())

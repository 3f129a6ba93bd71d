"""Where kmedtl keeps what it can make again: decoded images and masks, files laid out from phantoms, arrays and TFDS.

The folder `dicom`, links that manifests point to, is none of `KINDS`: clearing the cache must leave it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmedtl.errors import UserError
from kmedtl.system.disk import room_on
from kmedtl.system.home import below_home, expanded

UNFINISHED, DAMAGED = ".unfinished", ".damaged"
CONTENTS = "contents.json"  # of a folder: what was in it when it was finished
MOST_READ = 200_000_000  # bytes of a folder that are compared at each use; of more, only the files' sizes are
ROOM = "make room, `kmedtl store clear` empties the cache, or set KMEDTL_CACHE to a folder on a larger disk"
KINDS = ("stores", "masks", "phantom", "arrays", "tfds")


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


def is_damaged(folder: Path) -> bool:
    """Tell whether this was set aside, since something in it was lost or changed."""
    return folder.suffix == DAMAGED


def cache_folder() -> Path:
    """Return `$KMEDTL_CACHE`, else `$XDG_CACHE_HOME/kmedtl`, else `~/.cache/kmedtl`, or what stands for a home."""
    if os.environ.get("KMEDTL_CACHE"):
        return expanded(os.environ["KMEDTL_CACHE"]).absolute()
    if os.environ.get("XDG_CACHE_HOME"):
        return expanded(os.environ["XDG_CACHE_HOME"]).absolute() / "kmedtl"
    return below_home(".cache", "kmedtl")


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return `folder`, filled by `make` if it is not there yet; it is complete or absent, whoever else makes it too.

    Where something in it was lost or changed since, it is set aside, which stderr tells, and made again.

    Raises:
        UserError: the cache cannot be written, or the disk is full.
    """
    if is_sound(folder):
        return folder
    try:
        with room_on(folder.parent, ROOM):
            folder.parent.mkdir(parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=UNFINISHED, dir=folder.parent))
    except OSError as error:
        raise UserError(
            f"{folder.parent}: cannot be written ({error.strerror}); set KMEDTL_CACHE to a folder."
        ) from None
    try:
        with room_on(folder.parent, ROOM):
            make(unfinished)
            (unfinished / CONTENTS).write_text(json.dumps(_contents(unfinished)), encoding="utf-8")
        if not folder.exists():
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def is_sound(folder: Path) -> bool:
    """Tell whether a folder that `made_once` made is there and as it was; one that is not is set aside."""
    if not os.path.lexists(folder):
        return False
    try:
        made = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        sound = made == _contents(folder, made["sizes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        sound = False
    if not sound:
        aside = folder.with_name(f"{folder.name}{DAMAGED}")
        remove(aside)
        with contextlib.suppress(FileNotFoundError):  # another run was faster
            folder.rename(aside)
            print(f"{folder}: damaged, or of an older kmedtl; set aside as {aside.name}, made again.", file=sys.stderr)
    return sound


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _contents(folder: Path, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Return the size of each file by its name, and the SHA-256 of all where they are few bytes; None where many."""
    if names is None:
        names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    sizes = {name: (folder / name).stat().st_size for name in names}
    if sum(sizes.values()) > MOST_READ:
        return {"sizes": sizes, "sha256": None}
    digest = hashlib.sha256()
    for name in sizes:
        digest.update((folder / name).read_bytes())
    return {"sizes": sizes, "sha256": digest.hexdigest()}


def stamp(path: str | Path) -> str:
    """Return what changes when a file does, its permissions included; a file that is not there has a stamp too.

    That of a folder is made of the stamps of what lies right in it.
    """
    try:
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            inside = "\n".join(f"{file.name} {stamp(file)}" for file in sorted(Path(path).iterdir()))
            return hashlib.sha256(inside.encode(errors="surrogateescape")).hexdigest()
    except OSError:
        return "absent"
    return "-".join(map(str, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)))


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())

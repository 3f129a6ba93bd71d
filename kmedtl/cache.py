"""Where kmedtl keeps what it can make again: decoded images and rendered phantoms."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from kmedtl.errors import UserError


def cache_folder() -> Path:
    """Return `$KMEDTL_CACHE`, else `$XDG_CACHE_HOME/kmedtl`, else `~/.cache/kmedtl`."""
    if "KMEDTL_CACHE" in os.environ:
        return Path(os.environ["KMEDTL_CACHE"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "kmedtl"


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return `folder`, filled by `make` if it is not there yet; it is complete or absent, whoever else makes it too.

    Raises:
        UserError: the cache cannot be written.
    """
    if folder.exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".unfinished", dir=folder.parent))
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

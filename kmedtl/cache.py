"""Where kmedtl keeps what it can make again: decoded images and rendered phantoms."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return `$KMEDTL_CACHE`, else `$XDG_CACHE_HOME/kmedtl`, else `~/.cache/kmedtl`."""
    if "KMEDTL_CACHE" in os.environ:
        return Path(os.environ["KMEDTL_CACHE"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "kmedtl"

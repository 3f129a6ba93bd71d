"""A user's folders, where there may be no such user: containers have any number, and no home or one to read only."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from pathlib import Path

from kmedtl.errors import UserError

# What Keras, Matplotlib and TensorFlow Datasets would otherwise lay into a folder called `~`.
LIBRARIES = {"KERAS_HOME": "keras", "MPLCONFIGDIR": "matplotlib", "TFDS_DATA_DIR": "tensorflow_datasets"}


def expanded(path: str | Path) -> Path:
    """Return a path whose `~` is the home folder that it stands for.

    Raises:
        UserError: there is no such folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: this user has no home folder; write the path in full, or set HOME.") from None


def home() -> Path | None:
    """Return the home folder, or None where there is none that can be written to."""
    try:
        found = Path.home()
    except RuntimeError:
        return None
    there = next((folder for folder in (found, *found.parents) if folder.exists()), None)
    usable = found.is_absolute() and there is not None and os.access(there, os.W_OK | os.X_OK)
    return found if usable and there != Path("/") else None  # `/` is what containers set where there is no home


def below_home(*parts: str) -> Path:
    """Return a folder below the home folder; without one, of the same name in the temporary folder, and say so."""
    found = home()
    return (_instead() if found is None else found).joinpath(*parts)


def give_libraries_a_place() -> None:
    """Point libraries that make folders when they are imported to the temporary folder, where there is no home."""
    if home() is None:
        for name, folder in LIBRARIES.items():
            os.environ.setdefault(name, str(temporary() / folder))


def temporary() -> Path:
    """Return this user's folder in the temporary folder."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"kmedtl-of-{user}"


@functools.cache  # said once
def _instead() -> Path:
    folder = temporary()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        mine = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
    except OSError:
        mine = False
    if not mine or folder.is_symlink():  # somebody else could change what lies there
        raise UserError(f"{folder}: no home folder, and this one cannot be used; set KMEDTL_CACHE to a folder.")
    print(f"No home folder that can be written to: using {folder}; KMEDTL_CACHE names another place.", file=sys.stderr)
    return folder

"""Large files that are needed for a while: they go with their object or, if the process was killed, at the next."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from kmedtl.system.locks import try_lock

KINDS = ("activations", "features")
LOCK = "in_use"
DAY = 86_400  # seconds


class Scratch:
    """A folder in the temporary folder that goes with this object.

    Attributes:
        path: where it is.
    """

    def __init__(self, kind: str) -> None:
        """Take one of `KINDS`; what killed processes left of any is removed first."""
        remove_abandoned()
        self._folder = tempfile.TemporaryDirectory(prefix=f"kmedtl-{kind}-")
        self.path = Path(self._folder.name)
        self._lock = (self.path / f".{LOCK}").open("w")
        try_lock(self._lock)
        (self.path / f".{LOCK}").rename(self.path / LOCK)  # only now, so that nobody finds it before it is taken


def remove_abandoned() -> int:
    """Remove the folders of processes that are no more; return how many bytes that made free."""
    free = 0
    for kind in KINDS:
        for folder in Path(tempfile.gettempdir()).glob(f"kmedtl-{kind}-*"):
            if _is_abandoned(folder):
                free += sum(file.stat().st_size for file in folder.glob("*"))
                shutil.rmtree(folder, ignore_errors=True)
    return free


def _is_abandoned(folder: Path) -> bool:
    """Tell whether nobody holds the folder's lock; of one without, whether it has lain there for a day."""
    try:
        with (folder / LOCK).open("r+") as file:
            return try_lock(file)
    except FileNotFoundError:
        return folder.exists() and time.time() - folder.stat().st_mtime > DAY
    except OSError:  # somebody else's
        return False

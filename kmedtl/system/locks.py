"""A lock on a file that the system lets go of when the process ends, however it ends."""

from __future__ import annotations

from types import ModuleType
from typing import IO

fcntl: ModuleType | None
msvcrt: ModuleType | None
try:
    import fcntl
except ImportError:
    fcntl = None
    try:
        import msvcrt
    except ImportError:
        msvcrt = None


def try_lock(file: IO) -> bool:
    """Take the lock of an open file, for this process alone; return False where another one holds it.

    A system that knows neither Unix's locks nor Windows' has none: then two processes are not told apart.
    """
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt is not None:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    return True

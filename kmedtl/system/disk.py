"""Room on a disk: taken beforehand, and told truly where there is none."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from kmedtl.errors import UserError

BLOCK = b"\0" * (1 << 20)
FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
WORDS = tuple(map(os.strerror, sorted(FULL)))  # as C++ passes them on


def reserve(file: BinaryIO, size: int) -> None:
    """Give a file its size and take the space now: a disk that fills up later kills a process that maps the file.

    Raises:
        OSError: there is no room.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for _ in range(size // len(BLOCK)):
        file.write(BLOCK)
    file.write(BLOCK[: size % len(BLOCK)])


@contextlib.contextmanager
def room_on(folder: Path, remedy: str) -> Iterator[None]:
    """Tell a full disk in one line, whichever library met it: what they say of it is not always so.

    Args:
        folder: what is being written to.
        remedy: what the message ends with.

    Raises:
        UserError: no room was left while the block ran.
    """
    try:
        yield
    except BaseException as error:
        if _is_full(error):
            raise UserError(f"{folder}: no space left on the disk; {remedy}.") from None
        raise


def _is_full(error: BaseException) -> bool:
    """Tell whether an error says that there is no room left, be it Python's own or a library's text."""
    return (isinstance(error, OSError) and error.errno in FULL) or any(words in str(error) for words in WORDS)

"""Whether a person asked for silence: no progress, no word about what is loaded. Worker processes inherit it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "KMEDTL_QUIET"


def is_quiet() -> bool:
    """Tell whether `KMEDTL_QUIET` is set, or `--quiet` was given."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


@contextmanager
def quietly() -> Iterator[None]:
    """Be quiet while the block runs, in this process and in those that it starts."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "1"
    try:
        yield
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def unheard(text: str) -> None:
    """Take what a run says, where nobody listens; its folder notes it all the same."""

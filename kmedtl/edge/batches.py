"""Several images at a time through a model: it answers them on all cores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

BATCH = 16  # images: enough for every core, and few to wait for

Item = TypeVar("Item")


def batches(items: Iterable[Item], size: int = BATCH) -> Iterator[list[Item]]:
    """Yield lists of `size` items, the last one of what is left."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch

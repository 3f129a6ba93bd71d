"""Several images at a time through a model, which answers them on all cores while the next ones are decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from kmedtl.system.cores import usable_cores

LEAST, A_CORE = 8, 4  # images

Item = TypeVar("Item")


def batches(items: Iterable[Item], size: int | None = None) -> Iterator[list[Item]]:
    """Yield lists of `size` items, the last one of what is left; None: few to wait for, and some for each core."""
    rest, size = iter(items), size or max(LEAST, A_CORE * usable_cores())
    while batch := list(islice(rest, size)):
        yield batch


def one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items; a thread fetches the next one while the present one is worked on. None ends them."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item

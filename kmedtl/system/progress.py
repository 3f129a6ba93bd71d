"""How far a loop is, on standard error: a bar in a terminal; in a log file a line a minute, and none of short loops."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from kmedtl.system.quiet import is_quiet

EVERY = 60.0  # seconds between two lines of a log
WIDTH = 100


def progress(iterable: Iterable | None = None, title: str = "", total: float | None = None, **settings: Any) -> tqdm:
    """Return the iterable, or with `total` alone something to `update`, that shows how far it is.

    Args:
        settings: of `tqdm`, such as `unit` and `leave`: whether the finished line stays.
    """
    return bars()(iterable, title, total, **{"ncols": WIDTH, "leave": False} | settings)


def bars() -> type[tqdm]:
    """Return what shows progress where standard error goes to now."""
    if is_quiet():
        return _Nothing
    return tqdm if sys.stderr is not None and sys.stderr.isatty() and _has_width() else _Lines


def _has_width() -> bool:
    """Tell whether the terminal says how wide it is; some of containers and editors say 0."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        return False


class _Nothing(tqdm):
    """Shows nothing."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings | {"disable": True})


class _Lines(tqdm):
    """Plain lines, at most one a minute, and a last one of what took longer or is to stay."""

    disable: bool
    monitor_interval = 0  # no thread of its own: a log can wait for the next step

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self._stays = settings.get("leave", False)
        self._told = False
        quiet = {"mininterval": EVERY, "miniters": 1, "delay": EVERY, "ncols": None, "ascii": True}
        form = "{desc}: {n_fmt}/{total_fmt} {unit}, {elapsed}{postfix}"
        super().__init__(*arguments, **settings | quiet, bar_format=form)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        self._told = True
        print(msg or str(self), file=self.fp, flush=True)

    def set_description(self, desc: str | None = None, refresh: bool = True) -> None:
        self.set_description_str(desc, refresh=False)

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        super().set_postfix_str(s, refresh=False)

    def close(self) -> None:
        if self.disable:
            return
        self.disable = True
        self._decr_instances(self)
        if self._stays or self._told:
            self.display()

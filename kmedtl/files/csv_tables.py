"""Tables as CSV that a spreadsheet may open; see `kmedtl.system.printable`."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from kmedtl.system.printable import cell, cell_read


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table; no cell and no header of it is a formula."""
    safe = _changed(table, cell)
    # Python's own writer leaves a lone carriage return bare, which all readers take for the end of a row.
    returns = any("\r" in value for name in safe for value in (name, *safe[name]) if isinstance(value, str))
    safe.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL)


def read_csv(path: Path, **settings: Any) -> pd.DataFrame:
    """Read a table that `write_csv` wrote, or any other; `settings` are those of pandas."""
    return restored(pd.read_csv(path, **settings))


def restored(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the cells that `write_csv` was given."""
    return _changed(table, cell_read)


def _changed(table: pd.DataFrame, change: Callable[[object], object]) -> pd.DataFrame:
    texts = {name: table[name].map(change) for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])}
    return table.assign(**texts).rename(columns=change) if texts else table.rename(columns=change)

"""The columns of a table under the names that kmedtl knows: as `data.columns` says, as a known data set has them, or by
their usual names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kmedtl.data import delimited
from kmedtl.data.delimited import TextTable, first_cells, read_text, read_text_table
from kmedtl.data.sources.known_tables import ALIASES, KnownTable, is_medmnist_row, recognise
from kmedtl.errors import UserError, nearest
from kmedtl.images.file_kinds import SUFFIXES as IMAGES
from kmedtl.recipe import Data

SUFFIXES = (*delimited.SUFFIXES, ".parquet")
# What kmedtl itself calls columns.
OWN = ("id", "path", "label", "patient", "split", "mask", "site", "frame", "volume", "examination")


@dataclass(frozen=True)
class Table:
    """A table with kmedtl's names for the columns that it knows.

    Attributes:
        rows: column → cell, as text.
        places: where each row stands, for messages.
        findings: columns of findings, where the data set is known to have such.
        candidates: kmedtl's name → columns that could be meant by it, where they are several.
        notes: what was recognised or renamed, in sentences.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    places: tuple[str, ...]
    findings: tuple[str, ...]
    candidates: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]


def open_table(path: Path, data: Data, keys: Sequence[str] = ()) -> Table:
    """Read a table and name its columns.

    Args:
        keys: further names of columns that are wanted, in whatever case they are written.

    Raises:
        UserError: a table that cannot be read, or a column of `data.columns` that is not there.
    """
    found = _read(path)
    if any(Path(name).suffix.lower() in IMAGES for name in found.columns):
        raise UserError(
            f"{path}: its first line, {', '.join(found.columns[:3])}, is no header; put a line with the names of the "
            "columns before it, such as path,label."
        )
    known = None if data.columns else recognise(found.columns)
    names, candidates = _names(found.columns, path, data.columns, known, keys)
    table = [{names.get(name, name): cell for name, cell in cells.items()} for cells in found.rows]
    places = [f"{path}, line {line}" for line in found.lines]
    notes = [*found.notes, *_notes_on(names, known, path)]
    distinct = {tuple(cells.items()): where for cells, where in zip(reversed(table), reversed(places), strict=True)}
    if len(distinct) < len(table):
        notes.append(f"Rows of {path.name} that say what another row says, left out: {len(table) - len(distinct)}.")
        table, places = [dict(cells) for cells in reversed(distinct)], list(reversed(distinct.values()))
    if known and known.repeats:
        table, places = _merged(table, places)
    if known and known.patient_pattern:
        table = [cells | _patient(known.patient_pattern, cells) for cells in table]
    if known and known.test_list and (path.parent / known.test_list).is_file():
        table = _divided(table, path.parent / known.test_list)
        notes.append(f"The test is what {known.test_list} names; move it away to have the images divided anew.")
    return Table(
        path,
        tuple(table[0]),
        tuple(table),
        tuple(places),
        tuple(name for name in known.findings if name in table[0]) if known else (),
        candidates,
        tuple(notes),
    )


def is_known(path: Path) -> bool:
    """Tell whether a table is one of a known data set, from its first line alone."""
    if path.suffix.lower() not in delimited.SUFFIXES:
        return False
    cells = first_cells(path)
    return recognise(cells) is not None or is_medmnist_row(cells)


def _read(path: Path) -> TextTable:
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path)
    first = first_cells(path)
    if is_medmnist_row(first):
        labels = ("label",) if len(first) == 3 else tuple(str(number) for number in range(len(first) - 2))
        return read_text_table(path, ("split", "path", *labels))
    return read_text_table(path)


def _read_parquet(path: Path) -> TextTable:
    import pandas as pd

    try:
        table = pd.read_parquet(path).convert_dtypes()  # whole numbers beside empty cells are whole numbers again
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: the table cannot be read ({' '.join(str(error).split())[:200]}).") from None
    if not len(table):
        raise UserError(f"{path}: the table has no rows.")
    text = table.astype(object).where(table.notna(), "").astype(str)
    text.columns = [str(name).strip() for name in table.columns]
    rows = [{str(name): cell.strip() for name, cell in row.items()} for row in text.to_dict("records")]
    return TextTable(tuple(text.columns), tuple(rows), tuple(range(2, len(rows) + 2)))


def _names(
    columns: Sequence[str], path: Path, asked: Mapping[str, str], known: KnownTable | None, keys: Sequence[str]
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return the table's name → kmedtl's of what is renamed, and what could be meant where that is not certain."""
    there = {name.casefold(): name for name in reversed(columns)}
    names: dict[str, str] = {}
    candidates: dict[str, tuple[str, ...]] = dict.fromkeys(ALIASES, ())
    for own, name in asked.items():
        if name.strip().casefold() not in there:
            raise UserError(f"data.columns.{own}: {path} has no column '{name}'. {nearest(name, columns)}")
        names[there[name.strip().casefold()]] = own
    for own, name in known.columns.items() if known else ():
        if own not in columns and name.casefold() in there:
            names[there[name.casefold()]] = own
    for own in (*OWN, *keys):
        if own not in columns and own not in names.values() and own.casefold() in there:
            names.setdefault(there[own.casefold()], own)
    for own, aliases in ALIASES.items():
        if own in columns or own in names.values():
            continue
        found = tuple(there[alias] for alias in aliases if alias in there and there[alias] not in {*names, *keys})
        if len(found) == 1:
            names[found[0]] = own
        else:
            candidates[own] = found
    # A column that has the name of another one's new name steps aside.
    return names | {own: f"{own}_of_table" for own in names.values() if own in columns and own not in names}, candidates


def _notes_on(names: Mapping[str, str], known: KnownTable | None, path: Path) -> list[str]:
    renamed = {name: own for name, own in names.items() if name.casefold() != own.casefold()}
    renames = ", ".join(f"{own} is '{name}'" for name, own in renamed.items())
    if known:
        return [f"{path.name} was read as a table of {known.name}{f': {renames}' if renames else ''}."]
    return [f"Columns of {path.name}: {renames}; data.columns changes this."] if renames else []


def _merged(table: Sequence[dict[str, str]], places: Sequence[str]) -> tuple[list[dict[str, str]], list[str]]:
    """Return one row for each path, with the columns in which its rows agree, and where its first row stands.

    Raises:
        UserError: rows of one path with different labels.
    """
    kept: dict[str, dict[str, str]] = {}
    first: dict[str, str] = {}
    for cells, where in zip(table, places, strict=True):
        before = kept.setdefault(cells["path"], cells)
        if before["label"] != cells["label"]:
            raise UserError(f"{where}: {cells['path']} has two labels; make them agree.")
        kept[cells["path"]] = {name: cell for name, cell in before.items() if cells.get(name) == cell}
        first.setdefault(cells["path"], where)
    shared = set.intersection(*(set(cells) for cells in kept.values()))  # every row has the same columns
    return [{name: cells[name] for name in cells if name in shared} for cells in kept.values()], list(first.values())


def _divided(table: Sequence[dict[str, str]], test_list: Path) -> list[dict[str, str]]:
    text, _ = read_text(test_list)
    named = set(text.split())
    return [cells | {"split": "test" if cells["path"] in named else "train"} for cells in table]


def _patient(pattern: str, cells: Mapping[str, str]) -> dict[str, str]:
    match = re.search(pattern, cells["path"])
    return {"patient": match.group(0)} if match else {}

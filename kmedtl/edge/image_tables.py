"""Tables with a row an image, as the user may have them: found by path, by file name, or by that without its suffix."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from kmedtl.edge.fields import Values
from kmedtl.errors import UserError

IMAGES = ("path", "file", "filename", "image", "image_id", "id")  # names of the column that names the image
LARGEST = 100_000_000  # bytes of a table


def rows_by_image(path: Path, names: Sequence[str], option: str, instead: str = "") -> dict[str, list[Values]]:
    """Return the rows of a CSV that an image may mean by its path, its file name, or that without its suffix.

    Args:
        names: of the columns that count; there must be one of them.
        option: that named the table, for messages.
        instead: what the option might have said instead of a table.

    Raises:
        UserError: a table that cannot be read, or has no such column.
    """
    columns, image, rows = _read(path, option, instead)
    mine = {column: own_name(column, names) for column in columns if own_name(column, names) in names}
    if not mine:
        raise UserError(f"{option}: {path}: expected columns {', '.join(names)}. Received: {', '.join(columns)}.")
    found: dict[str, list[Values]] = {}
    for row in rows:
        values = {name: (row[column] or "").strip() for column, name in mine.items()}
        for key in keys_of(row[image] or ""):
            meant = found.setdefault(key, [])
            meant += [] if values in meant else [values]
    return found


def listed_in(path: Path, option: str) -> tuple[list[str], list[str]]:
    """Return the images that a CSV lists, in its order, and its columns; a path in it is as seen from its folder.

    Raises:
        UserError: a table that cannot be read, or names an image twice.
    """
    columns, image, rows = _read(path, option, "")
    names = [str(path.parent / (row[image] or "").strip()) for row in rows]
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice:
        raise UserError(f"{option}: {path}: names {twice} more than once; leave one row.")
    return names, columns


def listed_rows(path: Path, option: str) -> tuple[list[str], str, list[dict[str, str]]]:
    """Return the columns of a CSV, the one that names what a row is of, and its rows.

    Raises:
        UserError: a table that cannot be read.
    """
    return _read(path, option, "")


def _read(path: Path, option: str, instead: str) -> tuple[list[str], str, list[dict[str, str]]]:
    """Return the columns of a CSV, the one that names the image, and its rows."""
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{option}: {path}: expected a table of {LARGEST} bytes at most.")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        reader = csv.DictReader(lines, delimiter=max(",;\t", key=lines[0].count))
        rows = list(reader)
    except (OSError, ValueError, IndexError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(
            f"{option}: expected {instead}a CSV with a row an image; {path} cannot be read ({reason})."
        ) from None
    columns = list(reader.fieldnames or ())
    image = next((own for own in columns for name in IMAGES if own.strip().casefold() == name), columns[0])
    return columns, image, rows


def own_name(name: str, names: Sequence[str]) -> str:
    """Return a name as the model spells it, case aside."""
    plain = name.strip()
    return next((own for own in names if own.casefold() == plain.casefold()), plain)


def keys_of(place: str) -> tuple[str, ...]:
    """Return the names that an image may have in a table: its path, its file name, and that without its suffix."""
    path = Path(place.strip())
    return tuple(dict.fromkeys((str(path), path.name, path.stem)))

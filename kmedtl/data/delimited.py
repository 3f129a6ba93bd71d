"""Tables of text as programs save them: whatever separator, encoding and byte order mark, with or without blanks.

Imports nothing heavy. Used for manifests, labels, and predictions of other programs.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from kmedtl.errors import UserError
from kmedtl.system.printable import cell_read

SUFFIXES = (".csv", ".tsv", ".txt")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
MAX_BYTES = 1_000_000_000
MAX_COLUMNS = 2_000


@dataclass(frozen=True)
class TextTable:
    """What a table holds.

    Attributes:
        columns: names without surrounding blanks, in order; columns without a name are left out.
        rows: column → cell, without surrounding blanks; rows of empty cells are left out.
        lines: the line of the file that each row begins at.
        notes: sentences on what is unusual about the file.
    """

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    lines: tuple[int, ...]
    notes: tuple[str, ...] = ()


def read_text_table(path: Path, header: tuple[str, ...] | None = None) -> TextTable:
    """Read a table of text.

    Args:
        header: the names of the columns of a file whose first line is a row.

    Raises:
        UserError: a file that cannot be read, that is too large, whose encoding is unknown, whose lines differ in their
            number of cells, or with a column that is there twice.
    """
    text, notes = read_text(path)
    separator = separator_of(text.partition("\n")[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        names = [cell_read(cell.strip()) for cell in header or next(reader, [])]
        _check_columns(names, path)
        rows: list[dict[str, str]] = []
        lines, line = [], reader.line_num
        for cells in reader:
            line, begins = reader.line_num, line + 1
            if any(cell.strip() for cell in cells):
                rows.append(_row(names, cells, separator, f"{path}, line {begins}"))
                lines.append(begins)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: the table cannot be read ({error}).") from None
    if not rows:
        raise UserError(f"{path}: the table has no rows.")
    return TextTable(tuple(name for name in names if name), tuple(rows), tuple(lines), notes)


def first_cells(path: Path) -> list[str]:
    """Return the cells of a table's first line; none where it cannot be read as text."""
    try:
        with path.open("rb") as file:
            start = file.read(65_536)
    except OSError:
        return []
    line = _text(start)[0].replace("\r", "\n").partition("\n")[0]
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator_of(line)), [])]
    except csv.Error:
        return []


def read_text(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the text of a file, and a note where its encoding had to be guessed.

    Raises:
        UserError: a file that cannot be read, that is too large, or whose encoding is unknown.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: {path.stat().st_size} bytes, more than the limit of {MAX_BYTES} for a table.")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: the table cannot be read ({error.strerror}).") from None
    text, encoding = _text(content)
    if not text and content:
        raise UserError(f"{path}: the table is not text of a known encoding; save it as CSV (UTF-8).")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    note = f"{path.name} is not UTF-8; it was read as Windows-1252: check names with accents."
    return text, (note,) if encoding == "cp1252" else ()


def _text(content: bytes) -> tuple[str, str]:
    """Return the text and its encoding: by its byte order mark, else UTF-8, UTF-16 without a mark, or Windows-1252."""
    marked = [encoding for mark, encoding in MARKS.items() if content.startswith(mark)]
    start = content[:1000]
    if not marked and start.count(0) > len(start) / 4:  # ASCII in UTF-16 has a zero in every other byte
        marked = ["utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be"]
    for encoding in marked or ("utf-8", "cp1252"):
        try:
            return content.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return "", ""


def separator_of(header: str) -> str:
    """Return what separates the names of the header: whichever of `SEPARATORS` makes the most of them."""
    quoted = re.sub(r'"[^"]*"', "", header)
    parts = {separator: quoted.count(separator) for separator in SEPARATORS}
    return max(parts, key=parts.__getitem__)


def _check_columns(names: list[str], path: Path) -> None:
    if len(names) > MAX_COLUMNS:
        raise UserError(f"{path}: {len(names)} columns, more than the limit of {MAX_COLUMNS}; keep those that matter.")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UserError(f"{path}: the column '{name}' is there twice; rename or remove one.")
        if name:
            seen.add(name)


def _row(names: list[str], cells: list[str], separator: str, where: str) -> dict[str, str]:
    if any("\n" in cell and separator in cell for cell in cells):
        raise UserError(f"{where}: a cell goes over several lines; see whether a quotation mark is missing there.")
    missing = len(names) - len(cells)
    if missing < 0 and not any(cell.strip() for cell in cells[len(names) :]):
        cells, missing = cells[: len(names)], 0  # trailing separators
    if missing:
        raise UserError(
            f"{where}: the number of cells differs from the header's: {len(cells)} where {len(names)} were expected, "
            f"separated by {SEPARATORS[separator]}; put quotes around cells that hold the separator."
        )
    return {name: cell_read(cell.strip()) for name, cell in zip(names, cells, strict=True) if name}

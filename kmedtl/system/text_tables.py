"""Rows of cells as lines of a terminal."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, GAP = 120, "  "  # of a terminal, and between the cells of a table
CELLS = (40, 28)  # of a table's longest cell, and where the table is too wide so


def aligned(rows: Sequence[Sequence[str]], width: int = WIDTH) -> list[str]:
    """Return rows of cells as lines of at most `width`, columns aligned.

    Long cells lose their middle. Columns that don't fit beside each other follow in a further table, which begins with
    the first column again.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    for most in CELLS:
        columns = [[shortened(cell, most) for cell in column] for column in columns]
        if sum(map(_width, columns)) + len(GAP) * (len(columns) - 1) <= width:
            break
    first, rest = columns[0], columns[1:]
    parts, room = [[first]], width - _width(first)
    for column in rest:
        if _width(column) + len(GAP) > room and len(parts[-1]) > 1:
            parts.append([first])
            room = width - _width(first)
        parts[-1].append(column)
        room -= _width(column) + len(GAP)
    lines: list[str] = []
    for part in parts:
        lines += [""] if lines else []
        for cells in zip(*part, strict=True):
            padded = [cell.ljust(_width(column)) for cell, column in zip(cells, part, strict=True)]
            lines.append(GAP.join(padded).rstrip())
    return lines


def shortened(text: str, most: int = CELLS[0]) -> str:
    """Return text without its middle where it is longer than `most`."""
    kept = most - 1
    return text if len(text) <= most else f"{text[: kept - kept // 2]}…{text[-(kept // 2) :]}"


def _width(column: Sequence[str]) -> int:
    return max(map(len, column))

"""Text from outside, where a terminal or a spreadsheet would take it for a command.

A terminal obeys escape sequences, and shows text that turns its direction as another text. A spreadsheet computes a
cell that begins with `=`, `+`, `-`, `@` or a control character: in a CSV a `'` stands before it, which spreadsheets
hide and `cell_read` takes off again. Numbers stay numbers.
"""

from __future__ import annotations

import re
from typing import Any

SPACES = " \u00a0\u3000"  # which `str.isprintable` does not count
_COMMAND = re.compile(r"'*[=+\-@\t\r\n＝＋－＠].", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def shown(text: object) -> str:
    """Return text in which no character is a command: what cannot be seen is written as Python does, as `\\x1b`."""
    return "".join(letter if letter.isprintable() or letter in SPACES else _escaped(letter) for letter in str(text))


def shown_lines(text: str, kept: str = "\n\t") -> str:
    """Return the same of text of several lines."""
    return "".join(letter if letter in kept else shown(letter) for letter in text)


def shown_json(text: str) -> str:
    """Return JSON that says the same, in which what cannot be seen is written as JSON does, as `\\u001b`."""
    return "".join(
        letter if letter.isprintable() or letter in SPACES or letter == "\n" else _units(letter) for letter in text
    )


def cell(value: object) -> object:
    """Return what a CSV holds of a value, so that no spreadsheet computes it."""
    if not isinstance(value, str) or not _COMMAND.match(value) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def cell_read(value: Any) -> Any:
    """Return the value of which a CSV holds what `cell` returned."""
    if isinstance(value, str) and value.startswith("'") and _COMMAND.match(value):
        return value[1:]
    return value


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def _units(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))

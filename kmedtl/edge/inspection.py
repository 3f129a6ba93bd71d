"""What a model file says about itself, as a table or as the document that it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kmedtl.edge import model_info
from kmedtl.system.printable import shown, shown_json

_LONGEST = 88  # characters of a value in the table; what is longer, such as base64, is told by its length


def inspect(path: Path, as_json: bool = False) -> str:
    """Return the metadata of a model file, SavedModel folder or run folder; the JSON is complete.

    Raises:
        UserError: it carries none, or some that this version does not read.
    """
    document = asdict(model_info.read(path))
    if as_json:
        return shown_json(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"
    rows = [("file", str(path)), *_rows(document)]
    width = max(len(name) for name, _ in rows)
    return "".join(f"{shown(name).ljust(width)}  {shown(value)}\n" for name, value in rows)


def _rows(document: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in document.items():
        if isinstance(value, dict) and value:
            yield from _rows(value, f"{before}{name}.")
        else:
            yield before + name, _shown(value)


def _shown(value: Any) -> str:
    if value is None or value in ((), [], {}, ""):
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        shown = ", ".join(_shown(part) for part in value)
        return shown if len(shown) <= _LONGEST else f"{len(value)} values"
    shown = str(value)
    return shown if len(shown) <= _LONGEST else f"{len(shown)} characters"

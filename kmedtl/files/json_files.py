"""JSON files: readable, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_json(path: Path, content: Any) -> None:
    """Write what `to_json` returns, the whole or nothing."""
    aside = path.with_name(f".{path.name}.unfinished")
    aside.write_text(to_json(content), encoding="utf-8")
    aside.replace(path)


def to_json(content: Any) -> str:
    """Return readable JSON; NaN, which JSON does not have, becomes null."""
    return json.dumps(_without_nan(content), indent=2, ensure_ascii=False) + "\n"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value

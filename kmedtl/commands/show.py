"""`kmedtl show`: every setting of a recipe, its value, where that comes from, and what it means. Trains nothing."""

from __future__ import annotations

import argparse
import json
from typing import Any

from kmedtl.commands.options import add_recipe, configured, shortcuts

HELP = "show every setting of a recipe: its value, where that comes from, what it means"
WIDEST = 32  # characters of a column; what is longer pushes the rest of its line aside


def add_options(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser)


def command(options: argparse.Namespace) -> int:
    from kmedtl.config import to_dict
    from kmedtl.recipe.settings import settings_of
    from kmedtl.recipes import find
    from kmedtl.system.printable import shown

    recipe = configured(find(options.recipe), options)
    origins = {assignment.partition("=")[0]: "option" for assignment in shortcuts(options)}
    origins |= {assignment.partition("=")[0]: "--set" for assignment in options.set}
    rows = [("SETTING", "VALUE", "FROM", "MEANING")]
    for setting in settings_of(recipe):
        origin = _origin(setting.path, origins) or ("default" if setting.is_default else "recipe")
        rows.append((setting.path, _text(_plain(to_dict(recipe), setting.path)), origin, setting.meaning))
    widths = [min(WIDEST, max(len(row[column]) for row in rows)) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]
        print(shown("  ".join(cells).rstrip()))
    return 0


def _origin(path: str, origins: dict[str, str]) -> str:
    """Return where a setting, the whole that it is in, or a part of it was given; "" where nowhere."""
    return next((origin for name, origin in origins.items() if _is_within(path, name) or _is_within(name, path)), "")


def _is_within(path: str, whole: str) -> bool:
    return f"{path}.".startswith(f"{whole}.")


def _plain(document: Any, path: str) -> Any:
    for key in path.split("."):
        document = document[int(key) if isinstance(document, list) else key]
    return document


def _text(value: Any) -> str:
    """Return a value as `--set` takes it."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)

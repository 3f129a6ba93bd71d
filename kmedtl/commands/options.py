"""Options that several commands have, and the way from them to a recipe. Imports nothing heavy."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from kmedtl import config

if TYPE_CHECKING:
    from kmedtl.recipe import Recipe

SOURCE = (
    "phantom, phantom_ct, phantom_views, tfds:NAME, a folder of class folders, a CSV or Parquet manifest, or an .npz "
    "file"
)
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


def add_recipe(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Add the recipe itself, and what changes its settings."""
    parser.add_argument("recipe", metavar="RECIPE", help=f"a name of `kmedtl recipes`, or a YAML file{more}")
    parser.add_argument("--data", metavar="SOURCE", help=SOURCE)
    parser.add_argument("--backbone", metavar="NAME", help="a name of `kmedtl backbones`")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="side of the square that the model sees")
    add_limit(parser)
    parser.add_argument("--seed", type=int, metavar="N", help="of split, order, augmentation and initial weights")
    _add_reading(parser)


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add a source of images, and how it is read."""
    parser.add_argument("data", metavar="SOURCE", help=SOURCE)
    parser.add_argument("--recipe", metavar="RECIPE", help="read the images as this recipe does")
    _add_reading(parser)


def add_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=int, metavar="N", help="use about N images: whole patients, stratified")


def add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="show no progress, and of the results the last lines")


def names(text: str) -> list[str]:
    """Return the names that an option's value lists, separated by commas."""
    return [name.strip() for name in text.split(",")]


def configured(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """Return the recipe with what the command line says, `--set` last.

    Raises:
        UserError: a setting that is not there, a value that it cannot take, or a backbone that nobody knows.
    """
    from kmedtl.backbones import registry

    changed = config.override(recipe, [*shortcuts(options), *options.set])
    name = registry.get(changed.backbone.name).name
    return replace(changed, backbone=replace(changed.backbone, name=name))


def shortcuts(options: argparse.Namespace) -> list[str]:
    """Return the settings that options other than `--set` give, as `--set` would take them."""
    given = {path: getattr(options, name, None) for path, name in SHORTCUTS.items()}
    return [
        f"{path}={json.dumps(value, ensure_ascii=False)}"
        for path, value in given.items()
        if value is not None and value is not False  # not `in`: 0 == False, and 0 is a seed
    ]


def recipe_of(options: argparse.Namespace) -> Recipe:
    """Return the recipe that says how to read a source: `--recipe`, or one with nothing but defaults."""
    from kmedtl.recipe import Recipe, Stage
    from kmedtl.recipes import find

    plain = Recipe("data", (Stage("none", "head", 1, 1e-3),))
    return configured(find(options.recipe) if options.recipe else plain, options)


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--labels", metavar="FILE", help="a CSV of labels for a folder of any depth, such as DICOM")
    parser.add_argument("--keep-ids", action="store_true", help="write patient ids and file names as they are")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="any setting, as data.window.name=LUNG"
    )

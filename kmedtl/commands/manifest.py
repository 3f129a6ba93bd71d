"""`kmedtl manifest`: any source as a CSV."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from kmedtl.commands.checks import check_source
from kmedtl.commands.options import add_source, recipe_of
from kmedtl.errors import UserError

HELP = "write a source as a CSV, to be edited and used again"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", default=Path("manifest.csv"))
    add_source(parser)


def command(options: argparse.Namespace) -> int:
    if os.path.lexists(options.out):
        raise UserError(f"{options.out}: exists already; choose another -o or remove it.")
    if not options.out.parent.is_dir():
        raise UserError(f"{options.out}: {options.out.parent} is no folder; make it first, or choose another -o.")
    recipe = recipe_of(options)
    check_source(recipe.data)
    from kmedtl.data import manifest as manifests
    from kmedtl.data import sources
    from kmedtl.data.pseudonyms import hide_patients
    from kmedtl.tasks import needs_labels

    unasked = not needs_labels(recipe.task)
    manifest = sources.load(recipe.data, recipe.seed, "unasked" if unasked else "wanted")
    if not (unasked or manifest.classes or (manifest.table["mask"] != "").any()):
        manifest = sources.load(recipe.data, recipe.seed)  # refuses, and says what is expected
    if not (recipe.data.keep_ids or manifest.synthetic):
        manifest = replace(manifest, table=hide_patients(manifest.table))
    manifests.write(manifest, options.out)
    table = manifest.table
    print(f"{len(table)} images of {table['patient'].nunique()} patients: {options.out}")
    return 0

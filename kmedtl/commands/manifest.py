"""`kmedtl manifest`: any source as a CSV."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

from kmedtl.commands.options import recipe_of
from kmedtl.errors import UserError


def command(options: argparse.Namespace) -> int:
    from kmedtl.data import manifest as manifests
    from kmedtl.data import sources
    from kmedtl.data.pseudonyms import hide_patients

    if os.path.lexists(options.out):
        raise UserError(f"{options.out}: exists already; choose another -o or remove it.")
    if not options.out.parent.is_dir():
        raise UserError(f"{options.out}: {options.out.parent} is no folder; make it first, or choose another -o.")
    recipe = recipe_of(options)
    manifest = sources.load(recipe.data, recipe.seed)
    if not (recipe.data.keep_ids or manifest.synthetic):
        manifest = replace(manifest, table=hide_patients(manifest.table))
    manifests.write(manifest, options.out)
    table = manifest.table
    print(f"{len(table)} images of {table['patient'].nunique()} patients: {options.out}")
    return 0

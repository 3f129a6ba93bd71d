"""`kmedtl audit`: look at a source, train nothing."""

from __future__ import annotations

import argparse

from kmedtl import run_folder
from kmedtl.commands.options import recipe_of
from kmedtl.quiet import loading_tensorflow


def command(options: argparse.Namespace) -> int:
    recipe = recipe_of(options)
    with loading_tensorflow():
        from kmedtl.audit import page
        from kmedtl.audit.summary import describe
        from kmedtl.prepare import prepare

    final = run_folder.choose(options.out, "audit")
    with run_folder.building(final) as folder:
        data = prepare(recipe.data, recipe.seed, labelled=False)
        page.write(data.audit, data.store, data.table, folder)
    print(describe(data.audit))
    print(f"Page: {final / 'audit.html'}")
    return 0

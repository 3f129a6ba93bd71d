"""`kmedtl audit`: look at a source, train nothing."""

from __future__ import annotations

import argparse
from dataclasses import replace

from kmedtl.commands.options import recipe_of
from kmedtl.runs import run_folder
from kmedtl.system.native_logs import loading_tensorflow
from kmedtl.system.printable import shown


def command(options: argparse.Namespace) -> int:
    recipe = recipe_of(options)
    with loading_tensorflow():
        from kmedtl.audit import page
        from kmedtl.audit.summary import describe
        from kmedtl.runs.prepare import prepare

    final = run_folder.choose(options.out, "audit")
    lenient = replace(recipe.data, max_unreadable=1.0)  # what cannot be read is what an audit is to show
    with run_folder.building(final) as folder:
        data = prepare(lenient, recipe.seed, labelled=False)
        page.write(data.audit, data.store, data.manifest, data.table, folder)
    print(describe(data.audit))
    unreadable = data.audit.unreadable
    if len(unreadable) > int(recipe.data.max_unreadable * data.audit.listed):
        first = "; ".join(f"{name}: {reason}" for name, reason in list(unreadable.items())[:3])
        print(shown(f"  A run refuses so many unreadable images, see data.max_unreadable: {first}."))
    print(f"Page: {final / 'audit.html'}")
    return 0

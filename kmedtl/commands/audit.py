"""`kmedtl audit`: look at a source, train nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

from kmedtl.commands.checks import check_source
from kmedtl.commands.options import add_limit, add_quiet, add_source, recipe_of

HELP = "count, find copies, leaks, shortcuts and broken files; train nothing"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default: saved_models/audit/TIME)")
    add_limit(parser)
    add_source(parser)
    add_quiet(parser)


def command(options: argparse.Namespace) -> int:
    from kmedtl.runs import run_folder
    from kmedtl.system.native_logs import loading_tensorflow
    from kmedtl.system.printable import shown

    recipe = recipe_of(options)
    check_source(recipe.data)
    final = run_folder.choose(options.out, "audit")
    with loading_tensorflow():
        from kmedtl.audit import page
        from kmedtl.audit.summary import describe
        from kmedtl.runs.prepare import look

    with run_folder.building(final) as folder:
        data = look(recipe)
        page.write(data.audit, data.store, data.manifest, data.listed, folder)
    lines = [describe(data.audit)]
    unreadable = data.audit.unreadable
    if len(unreadable) > int(recipe.data.max_unreadable * data.audit.listed):
        first = "; ".join(f"{name}: {reason}" for name, reason in list(unreadable.items())[:3])
        lines.append(shown(f"  A run refuses so many unreadable images, see data.max_unreadable: {first}."))
    print("\n".join([*([] if options.quiet else lines), f"Page: {final / 'audit.html'}"]))
    return 0

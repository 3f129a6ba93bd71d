"""`kmedtl run`: a recipe from data to report."""

from __future__ import annotations

import argparse
from pathlib import Path

from kmedtl.commands.checks import check_recipe
from kmedtl.commands.options import add_quiet, add_recipe, configured

HELP = "train, evaluate and export what a recipe describes"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folds", type=_folds, metavar="K", help="cross-validate over K parts, or 'site': leave each site out once"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default: saved_models/NAME/TIME)")
    parser.add_argument("--resume", action="store_true", help="go on with a run that stopped, after its last epoch")
    add_recipe(parser)
    add_quiet(parser)


def command(options: argparse.Namespace) -> int:
    from kmedtl.recipes import find
    from kmedtl.runs import run_folder
    from kmedtl.system.native_logs import loading_tensorflow
    from kmedtl.system.quiet import unheard

    recipe = configured(find(options.recipe), options)
    check_recipe(recipe)
    run_folder.choose(options.out, recipe.name, options.resume)
    with loading_tensorflow():
        from kmedtl.commands.endings import ending, summary
        from kmedtl.runner import run

    found, folder = run(recipe, options.out, unheard if options.quiet else print, options.resume)
    run_folder.logged(print, folder)((ending if options.quiet else summary)(found, folder))
    return 0


def _folds(text: str) -> int | str:
    return int(text) if text.isdigit() else text

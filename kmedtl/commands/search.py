"""`kmedtl search`: the best of a recipe's variations."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from kmedtl import config
from kmedtl.commands.checks import check_recipe
from kmedtl.commands.options import add_quiet, add_recipe, configured

HELP = "try variations of a recipe, and run the best one"
SETTINGS = ("trials", "tuner", "objective", "hours")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trials", type=int, metavar="N", help="at most so many (default: 30)")
    parser.add_argument("--tuner", metavar="NAME", help="bayesian (default), random, hyperband or grid")
    parser.add_argument("--objective", metavar="NAME", help="headline (default), val_loss, another figure, or score")
    parser.add_argument("--hours", type=float, metavar="H", help="begin no trial after so long")
    parser.add_argument(
        "--folds", dest="search_folds", type=int, metavar="K", help="judge trials by K folds of training and validation"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the folder (default: saved_models/NAME/search-TIME)")
    parser.add_argument("--resume", action="store_true", help="go on with a search that stopped, after its last trial")
    parser.add_argument(
        "--ray", default="", metavar="ADDRESS", help="have Ray carry out the trials: local, or a cluster's address"
    )
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N", help="trials at a time of Ray (default: one a machine)"
    )
    add_recipe(parser, "; its `search` says what varies")
    add_quiet(parser)


def command(options: argparse.Namespace) -> int:
    from kmedtl.recipes import find
    from kmedtl.system.native_logs import loading_tensorflow
    from kmedtl.system.quiet import unheard

    given = {name: getattr(options, name) for name in SETTINGS} | {"folds": options.search_folds}
    assignments = [f"search.{name}={json.dumps(value)}" for name, value in given.items() if value is not None]
    recipe = config.override(configured(find(options.recipe), options), assignments)
    check_recipe(recipe)
    with loading_tensorflow():
        from kmedtl.runs.run_folder import logged
        from kmedtl.search.result import summary
        from kmedtl.search.run import search

    log = unheard if options.quiet else print
    found, folder = search(recipe, options.out, log, options.resume, options.ray, options.workers)
    if found:
        text = summary(found, folder)
        logged(print, folder)(text.rpartition("\n\n")[2] if options.quiet else text)
    return 0

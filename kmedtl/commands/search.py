"""`kmedtl search`: the best of a recipe's variations."""

from __future__ import annotations

import argparse
import json

from kmedtl import config
from kmedtl.commands.options import configured
from kmedtl.quiet import loading_tensorflow
from kmedtl.recipes import find

SETTINGS = ("trials", "tuner", "objective", "hours")


def command(options: argparse.Namespace) -> int:
    said = {name: getattr(options, name) for name in SETTINGS} | {"folds": options.search_folds}
    assignments = [f"search.{name}={json.dumps(value)}" for name, value in said.items() if value is not None]
    recipe = config.override(configured(find(options.recipe), options), assignments)
    with loading_tensorflow():
        from kmedtl.run_folder import logged
        from kmedtl.search.found import summary
        from kmedtl.search.searching import search

    found, folder = search(recipe, options.out, resume=options.resume, ray=options.ray, workers=options.workers)
    if found:
        logged(print, folder)(summary(found, folder))
    return 0

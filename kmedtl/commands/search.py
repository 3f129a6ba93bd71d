"""`kmedtl search`: the best of a recipe's variations."""

from __future__ import annotations

import argparse
import json

from kmedtl import config
from kmedtl.commands.options import configured
from kmedtl.recipes import find
from kmedtl.system.native_logs import loading_tensorflow

SETTINGS = ("trials", "tuner", "objective", "hours")


def command(options: argparse.Namespace) -> int:
    said = {name: getattr(options, name) for name in SETTINGS} | {"folds": options.search_folds}
    assignments = [f"search.{name}={json.dumps(value)}" for name, value in said.items() if value is not None]
    recipe = config.override(configured(find(options.recipe), options), assignments)
    with loading_tensorflow():
        from kmedtl.runs.run_folder import logged
        from kmedtl.search.result import summary
        from kmedtl.search.run import search

    found, folder = search(recipe, options.out, resume=options.resume, ray=options.ray, workers=options.workers)
    if found:
        logged(print, folder)(summary(found, folder))
    return 0

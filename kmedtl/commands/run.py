"""`kmedtl run`: a recipe from data to report."""

from __future__ import annotations

import argparse

from kmedtl.commands.options import configured
from kmedtl.recipes import find
from kmedtl.system.native_logs import loading_tensorflow


def command(options: argparse.Namespace) -> int:
    recipe = configured(find(options.recipe), options)
    with loading_tensorflow():
        from kmedtl.runner import run
        from kmedtl.runs import cross_validation, result
        from kmedtl.runs.run_folder import logged

    found, folder = run(recipe, options.out, resume=options.resume)
    summary = cross_validation.summary if isinstance(found, cross_validation.CrossValidation) else result.summary
    logged(print, folder)(summary(found, folder))
    return 0

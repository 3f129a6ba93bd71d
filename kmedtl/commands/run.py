"""`kmedtl run`: a recipe from data to report."""

from __future__ import annotations

import argparse

from kmedtl.commands.options import configured
from kmedtl.quiet import loading_tensorflow
from kmedtl.recipes import find


def command(options: argparse.Namespace) -> int:
    recipe = configured(find(options.recipe), options)
    with loading_tensorflow():
        from kmedtl import pooled, result
        from kmedtl.run_folder import logged
        from kmedtl.runner import run

    found, folder = run(recipe, options.out, resume=options.resume)
    summary = pooled.summary if isinstance(found, pooled.Pooled) else result.summary
    logged(print, folder)(summary(found, folder))
    return 0

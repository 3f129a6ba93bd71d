"""`kmedtl run`: a recipe from data to report."""

from __future__ import annotations

import argparse
import logging
import sys

from kmedtl.commands.options import configured
from kmedtl.memory import bound_arenas
from kmedtl.quiet import quiet_stderr
from kmedtl.recipes import find


def command(options: argparse.Namespace) -> int:
    recipe = configured(find(options.recipe), options)
    bound_arenas()
    print("Loading TensorFlow …", file=sys.stderr)
    with quiet_stderr():
        from kmedtl import pooled, result
        from kmedtl.runner import run

    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # its advice on tracing is not for users

    found, folder = run(recipe, options.out, resume=options.resume)
    summary = pooled.summary if isinstance(found, pooled.Pooled) else result.summary
    print(summary(found, folder))
    return 0

"""`kmedtl lr-find`: the range test of a stage, as a plot and a suggestion."""

from __future__ import annotations

import argparse
import sys

from kmedtl.commands.options import configured
from kmedtl.errors import UserError
from kmedtl.memory import bound_arenas
from kmedtl.quiet import quiet_stderr
from kmedtl.recipes import find


def command(options: argparse.Namespace) -> int:
    recipe = configured(find(options.recipe), options)
    if options.out.exists():
        raise UserError(f"{options.out}: exists already; choose another --out or remove it.")
    bound_arenas()
    print("Loading TensorFlow …", file=sys.stderr)
    with quiet_stderr():
        from kmedtl.evaluate import plots
        from kmedtl.runner import find_rate

    tested = find_rate(recipe, options.stage)
    stage = recipe.stages[options.stage]
    plots.range_tests({stage.name: tested}).savefig(options.out)
    rate = tested[-1]
    print(f"Stage {stage.name}: lr {rate:.1e} (the recipe has {stage.lr}); the curve is in {options.out}")
    print(f"  kmedtl run {options.recipe} --set stages.{options.stage}.lr={rate:.1e}")
    return 0

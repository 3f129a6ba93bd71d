"""`kmedtl lr-find`: the range test of a stage, as a plot and a suggestion."""

from __future__ import annotations

import argparse

from kmedtl.commands.options import configured
from kmedtl.errors import UserError
from kmedtl.recipes import find
from kmedtl.system.native_logs import loading_tensorflow


def command(options: argparse.Namespace) -> int:
    recipe = configured(find(options.recipe), options)
    if options.out.suffix != ".png" or options.out.exists() or not options.out.parent.is_dir():
        raise UserError(f"--out: expected a new .png file in a folder that exists. Received: {options.out}.")
    with loading_tensorflow():
        from kmedtl.evaluate import plots
        from kmedtl.runner import find_rate

    tested = find_rate(recipe, options.stage)
    plots.range_tests({str(options.stage): tested}).savefig(options.out)
    print(f"--set stages.{options.stage}.lr={tested.lr:.1e}")
    print(f"Curve: {options.out}")
    return 0

"""`kmedtl lr-find`: the range test of a stage, as a plot and a suggestion."""

from __future__ import annotations

import argparse
from pathlib import Path

from kmedtl.commands.checks import check_recipe
from kmedtl.commands.options import add_quiet, add_recipe, configured
from kmedtl.errors import UserError

HELP = "which rate to train a stage with: a range test, as a plot"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stage", type=int, default=0, metavar="N", help="its number, from 0 on; those before are trained"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", default=Path("lr_find.png"), help="the plot, PNG")
    add_recipe(parser)
    add_quiet(parser)


def command(options: argparse.Namespace) -> int:
    from kmedtl.recipes import find
    from kmedtl.system.native_logs import loading_tensorflow

    recipe = configured(find(options.recipe), options)
    if options.out.suffix != ".png" or options.out.exists() or not options.out.parent.is_dir():
        raise UserError(f"--out: expected a new .png file in a folder that exists. Received: {options.out}.")
    check_recipe(recipe)
    with loading_tensorflow():
        from kmedtl.report import training_plots
        from kmedtl.runs.rate import find_rate

    tested = find_rate(recipe, options.stage)
    training_plots.range_tests({str(options.stage): tested}).savefig(options.out)
    print(f"--set stages.{options.stage}.lr={tested.lr:.1e}")
    print(f"Curve: {options.out}")
    return 0

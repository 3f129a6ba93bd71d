"""`kmedtl ensemble`: runs that vote, without TensorFlow and from what their folders hold; or a soup of weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from kmedtl.commands.checks import check_run
from kmedtl.commands.options import add_quiet

HELP = "let runs vote, or average their weights; judged as a run is"
METHODS = ("mean", "vote", "weighted", "stack", "soup", "uniform_soup")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders of one split")
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="mean",
        help="mean of probabilities (default), share of votes, validation-weighted mean, stacking; weight soups",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new run folder (default: saved_models/NAME/TIME)")
    add_quiet(parser)


def command(options: argparse.Namespace) -> int:
    from kmedtl.recipe import SOUPS

    for run in options.runs:
        check_run(run)
    print((_soup if options.method in SOUPS else _vote)(options))
    return 0


def _vote(options: argparse.Namespace) -> str:
    from kmedtl.ensemble.ensemble import ensemble, summary, write
    from kmedtl.runs import run_folder

    made = ensemble(options.runs, options.method)
    final = run_folder.choose(options.out, made.recipe.name)
    with run_folder.building(final) as folder:
        write(made, folder)
    text = "\n".join(summary(made, final))
    return text.rpartition("\n\n")[2] if options.quiet else text


def _soup(options: argparse.Namespace) -> str:
    from kmedtl.ensemble import page
    from kmedtl.ensemble.member_comparison import member_comparisons
    from kmedtl.ensemble.members import open_members
    from kmedtl.system.native_logs import loading_tensorflow
    from kmedtl.system.quiet import unheard
    from kmedtl.tasks.predictions import examples_of

    members = open_members(options.runs)
    with loading_tensorflow():
        from kmedtl.commands.endings import ending
        from kmedtl.ensemble.soups import recipe_of_soup
        from kmedtl.runner import run
        from kmedtl.runs import result

    made, folder = run(recipe_of_soup(members, options.method), options.out, unheard if options.quiet else print)
    if options.quiet:
        return ending(made, folder)
    assert isinstance(made, result.Result)  # a soup has no folds
    test = examples_of(made.predictions, made.arrays, made.task, made.question, "test")
    beside = member_comparisons(members, test, made.info.decoder, made.recipe.evaluation)
    return "\n".join([result.summary(made, folder), "", *page.lines(beside)])

"""`kmedtl ensemble`: runs that vote, without TensorFlow and from what their folders hold; or a soup of weights."""

from __future__ import annotations

import argparse

from kmedtl import run_folder
from kmedtl.quiet import loading_tensorflow
from kmedtl.recipe import SOUPS


def command(options: argparse.Namespace) -> int:
    lines = _soup(options) if options.method in SOUPS else _votes(options)
    print("\n".join(lines))
    return 0


def _votes(options: argparse.Namespace) -> list[str]:
    from kmedtl.ensemble.ensemble import ensemble, summary, write

    made = ensemble(options.runs, options.method)
    final = run_folder.choose(options.out, made.recipe.name)
    with run_folder.building(final) as folder:
        write(made, folder)
    return summary(made, final)


def _soup(options: argparse.Namespace) -> list[str]:
    from kmedtl.ensemble import page
    from kmedtl.ensemble.members import answers, open_members
    from kmedtl.ensemble.standings import standings

    members = open_members(options.runs)
    with loading_tensorflow():
        from kmedtl import result
        from kmedtl.ensemble.soups import recipe_of_soup
        from kmedtl.runner import run

    made, folder = run(recipe_of_soup(members, options.method), options.out)
    beside = standings(members, answers(made.predictions, made.info, "test"), made.recipe.evaluation.ordered)
    return [result.summary(made, folder), "", *page.lines(beside)]

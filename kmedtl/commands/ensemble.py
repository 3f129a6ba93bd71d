"""`kmedtl ensemble`: runs that vote, without TensorFlow and from what their folders hold; or a soup of weights."""

from __future__ import annotations

import argparse

from kmedtl.recipe import SOUPS
from kmedtl.runs import run_folder
from kmedtl.system.native_logs import loading_tensorflow


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
    from kmedtl.ensemble.member_comparison import member_comparisons
    from kmedtl.ensemble.members import open_members
    from kmedtl.tasks.predictions import examples_of

    members = open_members(options.runs)
    with loading_tensorflow():
        from kmedtl.ensemble.soups import recipe_of_soup
        from kmedtl.runner import run
        from kmedtl.runs import result

    made, folder = run(recipe_of_soup(members, options.method), options.out)
    test = examples_of(made.predictions, made.task, made.question, "test")
    beside = member_comparisons(members, test, made.info.decoder, made.recipe.evaluation)
    return [result.summary(made, folder), "", *page.lines(beside)]

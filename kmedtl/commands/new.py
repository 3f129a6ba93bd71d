"""`kmedtl new`: look at images and write a recipe for them, a reason beside each choice. Trains nothing."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from kmedtl.commands.checks import check_source
from kmedtl.commands.options import SOURCE

HELP = "look at images and write a recipe for them, a reason beside each choice"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the recipe; it is written to NAME.yaml")
    parser.add_argument("--data", metavar="SOURCE", required=True, help=SOURCE)
    parser.add_argument("--labels", metavar="FILE", default="", help="a CSV of labels for a folder of any depth")
    parser.add_argument("--target", metavar="COLUMN", default="", help="the column of a number to be predicted")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the recipe's file (default: NAME.yaml)")


def command(options: argparse.Namespace) -> int:
    from kmedtl.errors import UserError
    from kmedtl.proposal.choices import propose
    from kmedtl.proposal.facts import look
    from kmedtl.proposal.writing import written
    from kmedtl.recipe import Data, Recipe
    from kmedtl.system.printable import shown

    path = options.out or Path(f"{options.name}.yaml")
    if os.path.lexists(path):
        raise UserError(f"{path}: exists already; choose another NAME, or --out.")
    data = Data(source=options.data, labels=options.labels)
    check_source(data)
    recipe, proposal = propose(options.name, data, look(data, Recipe.seed), options.target)
    try:
        path.write_text(written(recipe, proposal.reasons, proposal.unknown), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose another --out.") from None
    lines = [f"{place}: {reason}" for place, reason in proposal.reasons.items()]
    lines += [f"Could not be known: {sentence}" for sentence in proposal.unknown]
    print("\n".join(map(shown, [*lines, f"Recipe: {path}", f"Next:   kmedtl run {path}"])))
    return 0

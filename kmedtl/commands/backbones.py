"""`kmedtl backbones`: what can be a recipe's backbone."""

from __future__ import annotations

import argparse

from kmedtl.errors import UserError, nearest

HELP = "list the backbones and where their weights are to be had"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", default="*", help="a name or glob, as 'ResNet*'")


def command(options: argparse.Namespace) -> int:
    from kmedtl.backbones import registry

    names = registry.names(options.pattern)
    if not names:
        raise UserError(f"backbones '{options.pattern}': none matches. {nearest(options.pattern, registry.names())}")
    print(f"{'NAME':<22} {'PARAMETERS':>12} {'SIZE':>5} {'BLOCKS':>7}  WEIGHTS")
    for row in (row for row in registry.describe() if row["name"] in names):
        print(
            "{name:<22} {parameters:>12,} {size:>5} {blocks:>7}  {weights}".format(
                **row | {"blocks": len(row["blocks"])}
            )
        )
    return 0

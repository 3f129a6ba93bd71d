"""`kmedtl inspect`: what a model file says about itself. Imports no TensorFlow."""

from __future__ import annotations

import argparse

from kmedtl.edge.cli import add_inspect_options

HELP = "say in words what a model takes, answers and decides"


def add_options(parser: argparse.ArgumentParser) -> None:
    add_inspect_options(parser)


def command(options: argparse.Namespace) -> int:
    from kmedtl.edge.inspection import inspect

    print(inspect(options.model, options.json), end="")
    return 0

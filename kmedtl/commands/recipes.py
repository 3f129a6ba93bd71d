"""`kmedtl recipes`: the built-in recipes."""

from __future__ import annotations

import argparse

HELP = "list the built-in recipes"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the list is short."""


def command(options: argparse.Namespace) -> int:
    from kmedtl.recipes import describe

    for name, text in describe().items():
        print(f"{name:<16} {text}")
    return 0

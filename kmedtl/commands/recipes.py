"""`kmedtl recipes`: the built-in recipes."""

from __future__ import annotations

import argparse

HELP = "list the built-in recipes"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the list is short."""


def command(options: argparse.Namespace) -> int:
    from kmedtl.recipes import describe

    known = describe()
    width = max(map(len, known))
    for name, text in known.items():
        print(f"{name:<{width}} {text}")
    return 0

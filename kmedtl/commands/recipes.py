"""`kmedtl recipes`: the built-in recipes."""

from __future__ import annotations

import argparse

from kmedtl.recipes import describe


def command(options: argparse.Namespace) -> int:
    for name, text in describe().items():
        print(f"{name:<16} {text}")
    return 0

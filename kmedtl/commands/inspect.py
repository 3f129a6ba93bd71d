"""`kmedtl inspect`: what a model file says about itself. Imports no TensorFlow."""

from __future__ import annotations

import argparse

from kmedtl.edge.inspection import inspect


def command(options: argparse.Namespace) -> int:
    print(inspect(options.model, options.json), end="")
    return 0

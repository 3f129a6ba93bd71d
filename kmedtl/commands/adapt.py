"""`kmedtl adapt`: a model's decoder fitted to another hospital. Imports no TensorFlow for a `.tflite`."""

from __future__ import annotations

import argparse

from kmedtl.commands.options import add_quiet
from kmedtl.edge.cli import ADAPT, add_adapt_options

HELP = ADAPT


def add_options(parser: argparse.ArgumentParser) -> None:
    add_adapt_options(parser, "a .tflite or .keras file, or a run folder: its model.keras")
    add_quiet(parser)


def command(options: argparse.Namespace) -> int:
    from kmedtl.edge.adaptation.adapt import adapt
    from kmedtl.runs.locate import MODEL
    from kmedtl.runs.open_model import open_model

    if options.model is not None and (options.model / MODEL).is_file():
        options.model = options.model / MODEL
    return adapt(options, open_model)

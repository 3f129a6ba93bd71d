"""`kmedtl predict`: files in, probabilities and decisions out. Imports no TensorFlow for a `.tflite`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from kmedtl.commands.options import add_quiet
from kmedtl.edge.cli import add_predict_options, answer_with
from kmedtl.errors import UserError

if TYPE_CHECKING:
    from kmedtl.edge.predictor import Model

HELP = "classify images with a run or an exported model"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="run folder, SavedModel folder, .keras, .tflite or .onnx file")
    add_predict_options(parser)
    add_quiet(parser)


def command(options: argparse.Namespace) -> int:
    if options.model.exists():  # else the opener says so
        _check_images(options)

    def opened() -> Model:
        from kmedtl.runs.open_model import open_model

        return open_model(options.model)

    return answer_with(opened, options)


def _check_images(options: argparse.Namespace) -> None:
    """Refuse images of which none is there, before a model is opened; of several the others are answered."""
    listed = options.files_from
    if listed not in (None, "-") and not Path(listed).is_file():
        raise UserError(f"--files-from: {listed}: no such file; expected one with a name a line.")
    named = [name for name in options.images if name != "-"]
    if named and len(named) == len(options.images) and not any(Path(name).exists() for name in named):
        raise UserError(f"{named[0]}: no such file or folder; expected images, folders of them, or '-' for stdin.")

"""`kmedtl predict`: files in, probabilities and decisions out. Imports no TensorFlow for a `.tflite`."""

from __future__ import annotations

import argparse
from pathlib import Path

from kmedtl.edge import model_info
from kmedtl.edge.answering import answer
from kmedtl.edge.opening import open_tflite
from kmedtl.edge.predictor import Model
from kmedtl.export.runtimes import open_runtime


def command(options: argparse.Namespace) -> int:
    return answer(_open(options.model), options)


def _open(path: Path) -> Model:
    if path.suffix == ".tflite":
        return open_tflite(path)
    info = model_info.read(path)
    is_run = (path / "model.keras").is_file()
    return Model(open_runtime(path / "model.keras" if is_run else path), info.reading, info)

"""`kmedtl predict`: files in, probabilities and decisions out. Imports no TensorFlow for a `.tflite`."""

from __future__ import annotations

import argparse
from pathlib import Path

from kmedtl.edge import model_info
from kmedtl.edge.open_model import open_tflite
from kmedtl.edge.predict_files import answer
from kmedtl.edge.predictor import Model
from kmedtl.edge.shapes import check_fits
from kmedtl.export.runtimes import open_runtime
from kmedtl.system.native_logs import loading_tensorflow


def command(options: argparse.Namespace) -> int:
    return answer(_open(options.model), options)


def _open(path: Path) -> Model:
    if path.suffix == ".tflite":
        return open_tflite(path)
    info = model_info.read(path)
    is_run = (path / "model.keras").is_file()
    if path.suffix != ".onnx":
        with loading_tensorflow():
            import tensorflow  # noqa: F401 (the runtime imports it; here it is kept quiet)
    runtime = open_runtime(path / "model.keras" if is_run else path)
    check_fits(path, runtime.shapes, info)
    return Model(runtime, info.reading, info)

"""A run or any of its model files opened to be asked. Imports no TensorFlow for a `.tflite`."""

from __future__ import annotations

from pathlib import Path

from kmedtl.edge import model_info
from kmedtl.edge.open_model import open_tflite
from kmedtl.edge.predictor import Model
from kmedtl.edge.shapes import check_fits
from kmedtl.export.runtimes import open_runtime
from kmedtl.runs.locate import MODEL
from kmedtl.system.native_logs import loading_tensorflow


def open_model(path: Path) -> Model:
    """Open a run folder, `model.keras`, a SavedModel folder, a `.tflite` or an `.onnx` file.

    Raises:
        UserError: no such file or folder, or no model of kmedtl's; a `.tflite` may be anybody's.
    """
    if path.suffix == ".tflite":
        return open_tflite(path)
    info = model_info.read(path)
    is_run = (path / MODEL).is_file()
    if path.suffix != ".onnx":
        with loading_tensorflow():
            import tensorflow  # noqa: F401 (the runtime imports it; here it is kept quiet)
    runtime = open_runtime(path / MODEL if is_run else path)
    check_fits(path, runtime.shapes, info)
    return Model(runtime, info.reading, info)

"""Every kind of exported model as the same object: uint8 images in, logits and features out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.shapes import Shapes, check_fits
from kmedtl.errors import UserError
from kmedtl.vetting.keras_files import check_keras
from kmedtl.vetting.onnx_files import check_onnx
from kmedtl.vetting.saved_models import check_saved_model

BATCH = 32
Both = tuple[np.ndarray, np.ndarray]  # logits float32 (n, findings), features float32 (n, D)


class ModelFile(Protocol):
    """A model in its own runtime, as `kmedtl.edge.litert.LiteRTModel` and `Batched`; images are uint8 (N, H, W, C)."""

    @property
    def shapes(self) -> Shapes: ...

    def __call__(self, images: np.ndarray) -> np.ndarray: ...

    def logits_and_features(self, images: np.ndarray) -> Both: ...


@dataclass(frozen=True)
class Batched:
    """A runtime that takes several images at a time.

    Attributes:
        run: from float32 images (n, H, W, C) in 0–255 to logits (n, findings) and features (n, D).
        shapes: what goes in and comes out, as the file says.
    """

    run: Callable[[np.ndarray], Both]
    shapes: Shapes

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return logits, float32 (N, findings)."""
        return self.logits_and_features(images)[0]

    def logits_and_features(self, images: np.ndarray) -> Both:
        """Return logits, float32 (N, findings), and what they are made of, float32 (N, D)."""
        logits, features = zip(*(self.run(batch) for batch in _batches(images)), strict=True)
        return np.concatenate(logits), np.concatenate(features)


def open_runtime(path: Path) -> ModelFile:
    """Open a `.tflite`, `.keras` or `.onnx` file or a SavedModel folder; each imports its own runtime only.

    What is not a `.tflite` is looked at first (`kmedtl.vetting`): it could do more than answer.

    Raises:
        UserError: no such file, not a model, one that holds more than a classifier needs, or a runtime that is not
            installed.
    """
    openers = {".tflite": tflite_runtime, ".keras": keras_runtime, ".onnx": onnx_runtime}
    if path.suffix in openers and path.is_file():
        return openers[path.suffix](path)
    if (path / "saved_model.pb").is_file():
        return saved_model_runtime(path)
    raise UserError(f"{path}: expected a run folder, a .keras, .tflite or .onnx file or a SavedModel folder.")


def tflite_runtime(path: Path) -> ModelFile:
    """Load a `.tflite` file; see `LiteRTModel`."""
    from kmedtl.edge.litert import LiteRTModel

    return LiteRTModel(path)


def keras_runtime(path: Path) -> ModelFile:
    """Load a `.keras` file in safe mode: a file with code in it is refused."""
    from kmedtl.export.saved_model import with_features

    both = with_features(load_keras(path))

    def run(images: np.ndarray) -> Both:
        found = both.predict_on_batch(images)
        return found["logits"], found["features"]

    return Batched(
        run, Shapes(both.input_shape[1:], both.output["logits"].shape[-1], both.output["features"].shape[-1])
    )


def load_keras(path: Path, info: ModelInfo | None = None):  # noqa: ANN201 (keras is imported only where it is needed)
    """Return the `keras.Model` of a `.keras` file, looked at first and loaded in safe mode.

    Args:
        info: what it must be, if that is known.

    Raises:
        UserError: it holds more than a classifier needs, does not load so, or is another model than `info` says.
    """
    import keras
    import tensorflow as tf

    check_keras(path)
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except (
        ValueError,
        OSError,
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
        MemoryError,
        tf.errors.OpError,
    ) as error:
        raise UserError(f"{path}: not a Keras model that loads in safe mode ({_reason(error)}).") from None
    if info is not None:
        check_fits(path, Shapes(model.input_shape[1:], model.output_shape[-1]), info)
    return model


def saved_model_runtime(path: Path) -> ModelFile:
    """Load a SavedModel with TensorFlow alone and call its signature `features`."""
    import tensorflow as tf

    check_saved_model(path)
    try:
        serve = tf.saved_model.load(str(path)).signatures["features"]
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise UserError(f"{path}: not a SavedModel with a 'features' signature ({_reason(error)}).") from None

    def run(images: np.ndarray) -> Both:
        found = serve(image=tf.constant(images))
        return found["logits"].numpy(), found["features"].numpy()

    try:
        image, outputs = serve.structured_input_signature[1]["image"], serve.structured_outputs
        shapes = Shapes(*(tuple(tensor.shape)[1:] for tensor in (image, outputs["logits"], outputs["features"])))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: its signature 'features' is not a classifier's ({_reason(error)}).") from None
    return Batched(run, replace(shapes, logits=shapes.logits[-1], features=shapes.features[-1]))


def onnx_runtime(path: Path) -> ModelFile:
    """Load an `.onnx` file with onnxruntime, which the extra `onnx` installs."""
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"{path}: needs onnxruntime, which is not installed; pip install 'kmedtl[onnx]'.") from None
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    refusals = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NotImplemented,
                state.RuntimeException)  # fmt: skip
    check_onnx(path)
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except refusals as error:
        raise UserError(f"{path}: not an ONNX model that onnxruntime can run ({_reason(error)}).") from None
    images, widths = session.get_inputs(), {output.name: output.shape for output in session.get_outputs()}
    if len(images) != 1 or not {"logits", "features"} <= set(widths):
        raise UserError(f"{path}: expected one image in, logits and features out. Received: {', '.join(widths)}.")
    (image,) = images

    def run(images: np.ndarray) -> Both:
        logits, features = session.run(["logits", "features"], {image.name: images})
        return logits, features

    return Batched(run, Shapes(tuple(image.shape[1:]), widths["logits"][-1], widths["features"][-1]))


def _batches(images: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH].astype(np.float32)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

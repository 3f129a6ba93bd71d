"""Every kind of exported model as the same object: uint8 images in, logits and features out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from kmedtl.errors import UserError

BATCH = 32
Both = tuple[np.ndarray, np.ndarray]  # logits float32 (n, findings), features float32 (n, D)


class ModelFile(Protocol):
    """A model in its own runtime, as `kmedtl.edge.litert.LiteRTModel` and `Batched`; images are uint8 (N, H, W, C)."""

    def __call__(self, images: np.ndarray) -> np.ndarray: ...

    def logits_and_features(self, images: np.ndarray) -> Both: ...


@dataclass(frozen=True)
class Batched:
    """A runtime that takes several images at a time.

    Attributes:
        run: from float32 images (n, H, W, C) in 0–255 to logits (n, findings) and features (n, D).
    """

    run: Callable[[np.ndarray], Both]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return logits, float32 (N, findings)."""
        return self.logits_and_features(images)[0]

    def logits_and_features(self, images: np.ndarray) -> Both:
        """Return logits, float32 (N, findings), and what they are made of, float32 (N, D)."""
        logits, features = zip(*(self.run(batch) for batch in _batches(images)), strict=True)
        return np.concatenate(logits), np.concatenate(features)


def open_runtime(path: Path) -> ModelFile:
    """Open a `.tflite`, `.keras` or `.onnx` file or a SavedModel folder; each imports its own runtime only.

    Raises:
        UserError: no such file, not a model, or a runtime that is not installed.
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

    return Batched(run)


def load_keras(path: Path):  # noqa: ANN201 (keras is imported only where it is needed)
    """Return the `keras.Model` of a `.keras` file, loaded in safe mode.

    Raises:
        UserError: it does not load so.
    """
    import keras

    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, OSError, TypeError, KeyError) as error:
        raise UserError(f"{path}: not a Keras model that loads in safe mode ({_reason(error)}).") from None


def saved_model_runtime(path: Path) -> ModelFile:
    """Load a SavedModel with TensorFlow alone and call its signature `features`."""
    import tensorflow as tf

    try:
        serve = tf.saved_model.load(str(path)).signatures["features"]
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise UserError(f"{path}: not a SavedModel with a 'features' signature ({_reason(error)}).") from None

    def run(images: np.ndarray) -> Both:
        found = serve(image=tf.constant(images))
        return found["logits"].numpy(), found["features"].numpy()

    return Batched(run)


def onnx_runtime(path: Path) -> ModelFile:
    """Load an `.onnx` file with onnxruntime, which the extra `onnx` installs."""
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"{path}: needs onnxruntime, which is not installed; pip install 'kmedtl[onnx]'.") from None
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidProtobuf

    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except (Fail, InvalidArgument, InvalidProtobuf) as error:
        raise UserError(f"{path}: not an ONNX model that onnxruntime can run ({_reason(error)}).") from None
    (image,) = session.get_inputs()

    def run(images: np.ndarray) -> Both:
        logits, features = session.run(["logits", "features"], {image.name: images})
        return logits, features

    return Batched(run)


def _batches(images: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH].astype(np.float32)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

"""Every kind of exported model as the same function: uint8 images in, logits (N, findings) out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kmedtl.edge.predictor import Runtime
from kmedtl.errors import UserError

BATCH = 32


def open_runtime(path: Path) -> Runtime:
    """Open a `.tflite` or `.keras` file or a SavedModel folder; only the last two import TensorFlow.

    Raises:
        UserError: no such file, or not a model.
    """
    if path.suffix == ".tflite" and path.is_file():
        from kmedtl.edge.litert import LiteRTModel

        return LiteRTModel(path)
    if path.suffix == ".keras" and path.is_file():
        return keras_runtime(path)
    if (path / "saved_model.pb").is_file():
        return saved_model_runtime(path)
    raise UserError(f"{path}: expected a run folder, a .keras or .tflite file or a SavedModel folder.")


def keras_runtime(path: Path) -> Runtime:
    """Load a `.keras` file in safe mode: a file with code in it is refused."""
    import keras

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, OSError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a Keras model that loads in safe mode ({reason}).") from None
    return lambda images: model.predict(images.astype(np.float32), batch_size=BATCH, verbose=0)


def saved_model_runtime(path: Path) -> Runtime:
    """Load a SavedModel with TensorFlow alone and call its default signature."""
    import tensorflow as tf

    try:
        serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a SavedModel with a 'serving_default' signature ({reason}).") from None

    def run(images: np.ndarray) -> np.ndarray:
        parts = np.array_split(images, -(-len(images) // BATCH))
        outputs = [next(iter(serve(tf.constant(part, tf.float32)).values())) for part in parts]
        return np.concatenate([output.numpy() for output in outputs])

    return run

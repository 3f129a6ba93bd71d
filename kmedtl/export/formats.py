"""The exported files of a trained model."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kmedtl.quiet import quiet_stderr

NATIVE = "model.keras"
FILES = {"saved_model": "saved_model", "float32": "model_float32.tflite", "int8": "model_int8.tflite"}


def write_all(
    model: keras.Model, folder: Path, calibration: np.ndarray, formats: Collection[str] = tuple(FILES)
) -> Iterator[Path]:
    """Write `NATIVE` and the files of the wanted `FILES` into `folder`, yielding each path when it is written.

    - `model.keras`: the native archive.
    - `saved_model/`: `serving_default` takes float32 images (N, size, size, C) in 0–255 and returns logits.
    - `model_float32.tflite`: float32 image in 0–255 → float32 logits.
    - `model_int8.tflite`: uint8 image → float32 logits; weights per channel, ranges of the activations from
      `calibration`, uint8 training images (n, size, size, C). Source: Jacob et al., Quantization and Training of
      Neural Networks for Efficient Integer-Arithmetic-Only Inference (2018).
    """
    model.save(folder / NATIVE)
    yield folder / NATIVE
    with tempfile.TemporaryDirectory() as aside:  # the converter reads a SavedModel, whether it is wanted or not
        saved = (folder if "saved_model" in formats else Path(aside)) / FILES["saved_model"]
        if formats:
            with quiet_stderr():
                model.export(saved, format="tf_saved_model", verbose=False)
        if "saved_model" in formats:
            yield saved
        if "float32" in formats:
            yield _convert(tf.lite.TFLiteConverter.from_saved_model(str(saved)), folder / FILES["float32"])
        if "int8" in formats:
            yield _convert(_int8(saved, calibration), folder / FILES["int8"])


def _int8(saved: Path, calibration: np.ndarray) -> tf.lite.TFLiteConverter:
    calibration = calibration.copy()
    calibration[0, 0, :2] = np.array([[0], [255]])  # the input's range is 0–255, whatever these images reach
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None].astype(np.float32)] for image in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    return converter


def _convert(converter: tf.lite.TFLiteConverter, path: Path) -> Path:
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path.write_bytes(converter.convert())
    return path

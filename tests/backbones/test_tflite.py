"""Every kind of input normalisation goes into TFLite with built-in operations alone, in float32 and in int8."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from kmedtl.backbones import registry
from kmedtl.backbones.build import build_features
from kmedtl.backbones.normalisation import normalisation_of, normalise

ROWS = [("EfficientNetLite0", 1), ("EfficientNetLite0", 3), ("MobileNetV2_035", 3), ("VGG16", 3), ("DenseNet121", 3)]


@pytest.mark.parametrize(("name", "channels"), ROWS)
def test_normalised_input_survives_conversion(name, channels):
    """Of the normalisation alone, by the longest way through the converter: float32 equal, int8 within two steps."""
    image = keras.Input((32, 32, channels), name="image")
    model = keras.Model(image, normalise(image, normalisation_of(registry.get(name), None)))
    images = np.random.default_rng(3).integers(0, 256, (8, 32, 32, channels)).astype("float32")
    expected = model(images[:1]).numpy()
    np.testing.assert_allclose(_run(_convert(model, None), images[:1]), expected, atol=1e-4)
    np.testing.assert_allclose(_run(_convert(model, images), images[:1]), expected, atol=2 * np.ptp(expected) / 255)


@pytest.mark.slow
def test_whole_backbone_converts_to_int8():
    image = keras.Input((64, 64, 1), name="image")
    model = keras.Model(image, build_features(image, "EfficientNetLite0"))
    images = np.random.default_rng(3).integers(0, 256, (4, 64, 64, 1)).astype("float32")
    output = _run(_convert(model, images), images[:1])
    assert output.shape == (1, 2, 2, 1280)


def _convert(model, calibration):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter.convert()


def _run(model, images):
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

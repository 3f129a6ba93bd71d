"""A model of one dense layer as `.tflite` files: it takes seconds to make, and its answers are known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kmedtl.edge import model_info
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.tasks.classification.calibration import Calibration
from kmedtl.edge.tasks.classification.decoder import ClassDecoder
from kmedtl.edge.tasks.mask_decoder import plain
from kmedtl.statistics import out_of_distribution

SIZE = 32
INFO = ModelInfo(
    decoder=ClassDecoder("binary", ("DARK", "BRIGHT"), Calibration("temperature", "binary", (2.0,), (0.0,)), (0.5,)),
    size=SIZE,
    channels=1,
    recipe="brightness",
    source="tests",
    seed=7,
    synthetic=True,
    kmedtl="0.1.0",
)


def features_of(images: np.ndarray) -> np.ndarray:
    """Return what the model's logit is made of: the mean of each row of pixels, as shares of full brightness."""
    return images.mean(axis=(2, 3)) / 255


@pytest.fixture(scope="session")
def bare_model(tmp_path_factory) -> Path:
    """Without metadata; the logit is 8 · (mean − 0.5) of the pixels as shares of full brightness."""
    return _tflite("logits", tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="session")
def mask_model(tmp_path_factory) -> Path:
    """A segmentation of one structure, `bright`: the pixels that are brighter than a half."""
    path = _tflite("mask", tmp_path_factory.mktemp("masks"))
    model_info.attach(replace(INFO, decoder=plain(("bright",), 2.0, "stretch")), path)
    return path


def _tflite(output: str, folder: Path) -> Path:
    """Write a model of 8 · (x − 0.5), x being pixels as shares of full brightness, or for `logits` their mean."""
    import tensorflow as tf

    from kmedtl.system.native_logs import quiet_stderr

    class Brightness(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, SIZE, SIZE, 1), tf.uint8, name="image")])
        def __call__(self, image):
            shares = tf.cast(image, tf.float32) / 255
            features = tf.reduce_mean(shares, axis=(2, 3))
            seen = tf.reduce_mean(features, axis=1, keepdims=True) if output == "logits" else shares
            return {output: 8 * (seen - 0.5), "features": features}

    module = Brightness()
    with quiet_stderr():
        tf.saved_model.save(module, str(folder / "saved"), signatures=module.__call__)
        converted = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert()
    path = folder / "bare.tflite"
    path.write_bytes(converted)
    return path


@pytest.fixture(scope="session")
def info() -> ModelInfo:
    """What the model says of itself: it knows images that are alike in each row."""
    random = np.random.default_rng(0)
    known = features_of(rows(random.integers(60, 200, 80)) + random.integers(-9, 9, (80, SIZE, SIZE, 1)))
    return replace(INFO, out_of_distribution=out_of_distribution.fit(known[:40], known[40:]))


@pytest.fixture
def make_model(bare_model, tmp_path) -> Callable[..., Path]:
    """Return what writes the model with the metadata that it is given."""

    def make(info: ModelInfo, name: str = "model.tflite") -> Path:
        path = tmp_path / name
        path.write_bytes(bare_model.read_bytes())
        model_info.attach(info, path)
        return path

    return make


@pytest.fixture
def model(make_model, info) -> Path:
    return make_model(info)


def rows(levels: np.ndarray) -> np.ndarray:
    """Return an image of one level for each of `levels`, (N, SIZE, SIZE, 1)."""
    return np.broadcast_to(np.asarray(levels)[:, None, None, None], (len(levels), SIZE, SIZE, 1))

"""A classifier small enough to be converted in seconds, which answers to brightness."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kmedtl.backbones.spec import FEATURES
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.export import quantize, saved_model
from kmedtl.heads.pooling import POOLING

SIZE = 16


def classifier(findings: int = 1, channels: int = 1) -> keras.Model:
    keras.utils.set_random_seed(2)
    image = keras.Input((SIZE, SIZE, channels), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(6, 3, 2, "same", activation="relu", name="conv_1")(x)
    x = keras.layers.Conv2D(8, 3, 2, "same", activation="relu", name="conv_2")(x)
    x = keras.layers.Activation("linear", name=FEATURES)(x)
    x = keras.layers.GlobalAveragePooling2D(name=POOLING)(x)
    return keras.Model(image, {LOGITS: keras.layers.Dense(findings, name=LOGITS)(x)})


def pictures(count: int, low: int, high: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(low).integers(low, high, (count, SIZE, SIZE, channels), np.uint8)


@pytest.fixture(scope="session")
def model():
    return classifier()


@pytest.fixture(scope="session")
def saved(model, tmp_path_factory):
    return saved_model.write(model, tmp_path_factory.mktemp("saved") / "saved_model")


@pytest.fixture(scope="session")
def whole(saved):
    """The model's float32 TFLite file."""
    return quantize.convert(saved)

"""LiteRT computes the frozen part as Keras does, in the order of its outputs, or says that it cannot."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kmedtl.backbones.blocks import block_map, select
from kmedtl.finetune import frozen_engine
from kmedtl.finetune.frozen_engine import LiteRTPrefix, engine_for
from kmedtl.finetune.frozen_prefix import cut
from kmedtl.recipe import Backbone, Head
from tests.models import build_classifier

SMALL = ("EfficientNetLite0", "MobileNetV3Small")
OTHERS = ("EfficientNetV2B0", "MobileNet", "MobileNetV2")


@pytest.fixture(autouse=True)
def many(monkeypatch):
    monkeypatch.setattr(frozen_engine, "MANY", 3)
    monkeypatch.setattr(frozen_engine, "MANY_PIXELS", 3 * 4 * 4)


def compare(prefix, *inputs):
    engine = engine_for(prefix, 4, 32).compute
    assert isinstance(engine, LiteRTPrefix)
    found, expected = engine(*map(tf.constant, inputs)), prefix(list(inputs), training=False)
    for one, other in zip(found, keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * max(1.0, np.abs(other).max()))


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_the_prefix_of_a_network(name):
    model = build_classifier(Backbone(name, "random"), Head(), 96, 1, 1)
    blocks = block_map(model, name)
    compare(cut(model, blocks, select(blocks, "last:1")).prefix, images(9, 96))


def test_outputs_of_one_shape_keep_their_order_and_an_input_is_handed_on():
    image, fields = keras.Input((8, 8, 1), name="image"), keras.Input((3,), name="fields")
    maps = [keras.layers.Conv2D(1, 3, padding="same", name=name)(image) for name in ("z", "a", "m")]
    last = keras.layers.Conv2D(1, 3, padding="same", activation="relu")(maps[2])
    passed = keras.layers.Identity()(fields)
    last = keras.layers.DepthwiseConv2D(3, padding="same")(last)
    prefix = keras.Model([image, fields], [maps[1], last, passed, maps[0], maps[2]])
    compare(prefix, images(9, 8), np.arange(27, dtype=np.float32).reshape(9, 3))


def test_an_operation_that_litert_lacks_is_computed_by_tensorflow_which_is_said(capfd):
    class Bessel(keras.layers.Layer):
        def call(self, values):
            return tf.math.bessel_i0e(values)

    image = keras.Input((4, 4, 1))
    prefix = keras.Model(image, Bessel()(keras.layers.DepthwiseConv2D(1)(image)))
    engine, given = engine_for(prefix, 4, 32).compute, images(5, 4)
    assert not isinstance(engine, LiteRTPrefix)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("Frozen part: TensorFlow computes it, as LiteRT cannot (")
    (found,) = engine(tf.constant(given))
    np.testing.assert_allclose(found, prefix(given), rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "count", "batch_size"),
    [
        (keras.layers.DepthwiseConv2D(1), 3, 32),
        (keras.layers.DepthwiseConv2D(1), 4, 1),
        (keras.layers.Conv2D(2, 1), 4, 32),
    ],
    ids=["few images", "batches smaller than the cores are many", "no depthwise convolution"],
)
def test_what_litert_does_not_make_faster_is_left_to_tensorflow(layer, count, batch_size, monkeypatch):
    monkeypatch.setattr(frozen_engine, "usable_cores", lambda: 2)
    image = keras.Input((4, 4, 2))
    assert not isinstance(engine_for(keras.Model(image, layer(image)), count, batch_size).compute, LiteRTPrefix)


def images(count, size):
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 1)).astype("float32")

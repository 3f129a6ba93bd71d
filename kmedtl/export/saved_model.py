"""A SavedModel that needs nothing but TensorFlow: what it can be asked is said by its signatures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from kmedtl.edge.fields import FIELDS
from kmedtl.edge.shapes import FEATURES
from kmedtl.heads.build import penultimate
from kmedtl.system.native_logs import quiet_stderr

Decode = Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]  # from outputs to answers
EDGE = "pixels"  # the signature that TFLite files are made of
LUMA = (19595, 38470, 7471)  # of red, green and blue in 65536, ITU-R BT.601, as Pillow rounds it


def with_features(model: keras.Model) -> keras.Model:
    """Return the same model with one output more: `features` (N, D), what the others are made of."""
    return keras.Model(model.inputs, {**model.output, FEATURES: penultimate(model)})


def write(model: keras.Model, folder: Path, decode: Decode = lambda outputs: {}) -> Path:
    """Write a model with four signatures; answers, such as `probabilities`, are there where `decode` makes them.

    - `serving_default`: `image`, float32 (N, size, size, C) in 0–255 → its outputs, such as `logits`, and answers.
    - `from_bytes`: `image_bytes`, N encoded JPEG, PNG, BMP or GIF files → the same. It decodes and resizes as
      `kmedtl.images.read_image` does, up to the rounding of another decoder; it turns no image by its EXIF tag.
    - `features`: `image` as above → `features` (N, D), and the outputs.
    - `pixels`: `image`, uint8 → the same.

    Each takes `fields`, float32 (N, D), as well where the model does; see `kmedtl.edge.fields.encode`.
    """
    whole = with_features(model)
    image, *rest = model.inputs
    _, size, _, channels = image.shape
    beside = [tf.TensorSpec(one.shape, tf.float32, name=FIELDS) for one in rest]
    images, pixels = _images(size, channels), _images(size, channels, tf.uint8)
    files = tf.TensorSpec((None,), tf.string, name="image_bytes")

    @tf.function(input_signature=[images, *beside], autograph=False)
    def answer(image: tf.Tensor, *fields: tf.Tensor) -> dict[str, tf.Tensor]:
        return whole([image, *fields], training=False)

    def judged(image: tf.Tensor, *fields: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = {name: found for name, found in answer(image, *fields).items() if name != FEATURES}
        return outputs | decode(outputs)

    def from_bytes(image_bytes: tf.Tensor, *fields: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = tf.TensorSpec((size, size, channels), tf.float32)
        decoded = tf.map_fn(lambda file: _decode(file, size, channels), image_bytes, fn_output_signature=spec)
        return judged(decoded, *fields)

    def edge(image: tf.Tensor, *fields: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(tf.cast(image, tf.float32), *fields)

    asked = {"serving_default": (judged, images), "from_bytes": (from_bytes, files), "features": (answer, images)}
    asked[EDGE] = (edge, pixels)
    # A bare module, since Keras' ExportArchive walks all layers and writes each weight twice.
    module = tf.Module()
    module.weights = [variable.value for variable in whole.variables]
    signatures = {
        name: tf.function(made, input_signature=[first, *beside], autograph=False).get_concrete_function()
        for name, (made, first) in asked.items()
    }
    with quiet_stderr():
        tf.saved_model.save(module, str(folder), signatures)
    return folder


def _images(size: int, channels: int, dtype: tf.DType = tf.float32) -> tf.TensorSpec:
    return tf.TensorSpec((None, size, size, channels), dtype, name="image")


def _decode(file: tf.Tensor, size: int, channels: int) -> tf.Tensor:
    """Return an encoded image as float32 (size, size, channels) of whole numbers in 0–255."""
    colour = tf.io.decode_image(file, channels=3, expand_animations=False)
    colour = tf.ensure_shape(colour, (None, None, 3))
    if channels == 1:
        weighted = tf.reduce_sum(tf.cast(colour, tf.int32) * tf.constant(LUMA), axis=-1, keepdims=True)
        colour = tf.bitwise.right_shift(weighted + 32768, 16)
    square = tf.image.resize(colour, (size, size), tf.image.ResizeMethod.BILINEAR, antialias=True)
    return tf.round(square)

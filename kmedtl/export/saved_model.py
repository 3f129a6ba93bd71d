"""A SavedModel that needs nothing but TensorFlow: what it can be asked is said by its signatures."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import keras
import tensorflow as tf

from kmedtl.edge.tasks.classification.calibration import Calibration, Knots
from kmedtl.explain.features import penultimate
from kmedtl.system.native_logs import quiet_stderr

EDGE = "pixels"  # the signature that TFLite files are made of
LUMA = (19595, 38470, 7471)  # of red, green and blue in 65536, ITU-R BT.601, as Pillow rounds it


def with_features(model: keras.Model) -> keras.Model:
    """Return the same model with two outputs: `logits` (N, findings) and `features` (N, D), what they are made of."""
    return keras.Model(model.input, {"logits": model.output, "features": penultimate(model)})


def write(model: keras.Model, folder: Path, calibration: Calibration | None = None) -> Path:
    """Write a classifier with four signatures; `probabilities` are there where `calibration` says what they are.

    - `serving_default`: `image`, float32 (N, size, size, C) in 0–255 → `logits`, `probabilities` (N, findings).
    - `from_bytes`: `image_bytes`, N encoded JPEG, PNG, BMP or GIF files → the same. It decodes and resizes as
      `kmedtl.images.read_image` does, up to the rounding of another decoder; it turns no image by its EXIF tag.
    - `features`: `image` as above → `features` (N, D), `logits`.
    - `pixels`: `image`, uint8 → `features`, `logits`.
    """
    whole = with_features(model)
    size, channels = model.input_shape[1], model.input_shape[3]
    answer = tf.function(lambda image: whole(image, training=False), input_signature=[_images(size, channels)])

    def judged(image: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = answer(image)["logits"]
        return {"logits": logits} | ({"probabilities": _probabilities(logits, calibration)} if calibration else {})

    def from_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = tf.TensorSpec((size, size, channels), tf.float32)
        return judged(tf.map_fn(lambda file: _decode(file, size, channels), image_bytes, fn_output_signature=spec))

    archive = keras.export.ExportArchive()
    archive.track(whole)
    archive.add_endpoint("serving_default", judged, [_images(size, channels)])
    archive.add_endpoint("from_bytes", from_bytes, [tf.TensorSpec((None,), tf.string, name="image_bytes")])
    archive.add_endpoint("features", lambda image: answer(image), [_images(size, channels)])
    archive.add_endpoint(EDGE, lambda image: answer(tf.cast(image, tf.float32)), [_images(size, channels, tf.uint8)])
    with quiet_stderr():
        archive.write_out(str(folder), verbose=False)
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


def _probabilities(logits: tf.Tensor, calibration: Calibration) -> tf.Tensor:
    """Return what `kmedtl.edge.tasks.classification.calibration.probabilities` returns, float32."""
    logits = tf.cast(logits, tf.float64)
    several = calibration.kind == "multi_class"
    if calibration.method != "isotonic":
        margins = logits * tf.constant(calibration.scale, tf.float64) + tf.constant(calibration.bias, tf.float64)
        return tf.cast(tf.nn.softmax(margins) if several else tf.sigmoid(margins), tf.float32)
    scores = _against_rest(logits) if several else tf.unstack(logits, len(calibration.knots), axis=1)
    found = tf.stack([_on_curve(*pair) for pair in zip(scores, calibration.knots, strict=True)], axis=1)
    return tf.cast(found / tf.reduce_sum(found, axis=1, keepdims=True) if several else found, tf.float32)


def _against_rest(logits: tf.Tensor) -> list[tf.Tensor]:
    columns = tf.unstack(logits, logits.shape[1], axis=1)
    return [
        column - tf.reduce_logsumexp(tf.stack([other for other in columns if other is not column], axis=1), axis=1)
        for column in columns
    ]


def _on_curve(scores: tf.Tensor, knots: Knots) -> tf.Tensor:
    """Return the height at each score of straight lines between the knots, level beyond the first and the last."""
    heights = tf.fill(tf.shape(scores), tf.constant(knots[0][1], tf.float64))
    for (left, low), (right, high) in pairwise(knots):
        heights += (high - low) * tf.clip_by_value((scores - left) / (right - left), 0, 1)
    return heights

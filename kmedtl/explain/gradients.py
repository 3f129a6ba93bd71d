"""Explanations by gradients: Grad-CAM, Grad-CAM++ and SmoothGrad, on the flat graph of any backbone.

Every map is float32 (N, H, W) in 0–1 of images uint8 (N, H, W, C), each divided by its own maximum; one that finds
nothing is 0 throughout. Fields beside the images, float32 (N, D), stay as they are: a map explains the image's part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from kmedtl.backbones.spec import FEATURES
from kmedtl.edge.occlusion import enlarge
from kmedtl.edge.shapes import ModelInputs
from kmedtl.heads.fields import given_fields
from kmedtl.system.progress import progress

BATCH = 8  # images at a time: bounds what the gradients of a large backbone hold in memory

Which = tuple[str, int]  # an output, and the column of it
Weigh = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # features, gradients (n, h, w, c) → weights (n, 1, 1, c)


def grad_cam(model: keras.Model, images: np.ndarray, which: Which, fields: np.ndarray | None = None) -> np.ndarray:
    """Return where the last feature map speaks for a finding: channels weighted by their mean gradient.

    Source: Selvaraju et al., Grad-CAM (2017), equations 1 and 2.

    Args:
        model: of `kmedtl.heads.build.build_model`, whatever its head.
        which: the output, and the column of it, such as a finding's number.
    """
    return _class_activation(model, ModelInputs(images, fields), which, _mean_gradient, "Grad-CAM")


def grad_cam_plus_plus(
    model: keras.Model, images: np.ndarray, which: Which, fields: np.ndarray | None = None
) -> np.ndarray:
    """Return as `grad_cam`, but places that raise the logit count by how few they are: for several small findings.

    Source: Chattopadhay et al., Grad-CAM++ (2018), equations 5 and 19, of the exponential of the logit, whose own
    value is a factor of each map and cancels. Features below 0, as smooth activations give, count as 0 in the sum of
    equation 19, which was derived for ReLU.
    """
    return _class_activation(model, ModelInputs(images, fields), which, _pixelwise_gradient, "Grad-CAM++")


def smooth_grad(
    model: keras.Model,
    images: np.ndarray,
    which: Which,
    fields: np.ndarray | None = None,
    samples: int = 25,
    noise: float = 0.15,
    seed: int = 0,
) -> np.ndarray:
    """Return how strongly each pixel moves the logit: the gradient's mean over noisy copies, its size over channels.

    Source: Smilkov et al., SmoothGrad (2017), section 3.

    Args:
        samples: copies of each image.
        noise: standard deviation of the Gaussian noise, as a fraction of the image's own range of values.
        seed: the map is a function of it.
    """

    name, column = which

    @tf.function(input_signature=[tf.TensorSpec((None, *one.shape[1:]), tf.float32) for one in model.inputs])
    def gradient(batch: tf.Tensor, *beside: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(batch)
            score = tf.reduce_sum(model([batch, *beside], training=False)[name][:, column])
        return tape.gradient(score, batch)

    random, maps = np.random.default_rng(seed), []
    for batch, *beside in _batches(ModelInputs(images, fields), "SmoothGrad"):
        spread = noise * (batch.max(axis=(1, 2, 3), keepdims=True) - batch.min(axis=(1, 2, 3), keepdims=True))
        total = np.zeros_like(batch)
        for _ in range(samples):
            total += gradient(batch + spread * random.standard_normal(batch.shape, np.float32), *beside).numpy()
        maps.append(np.abs(total).sum(axis=-1))
    return enlarge(np.concatenate(maps), *images.shape[1:3])


def _class_activation(model: keras.Model, inputs: ModelInputs, which: Which, weigh: Weigh, title: str) -> np.ndarray:
    """Return the positive part of the weighted sum of the last feature map's channels."""
    name, column = which
    features = model.get_layer(FEATURES).output
    backbone = keras.Model(model.inputs[0], features)
    head = keras.Model([features, *given_fields(model)], model.output[name])
    maps = []
    for batch, *beside in _batches(inputs, title):
        found = backbone(batch, training=False)
        with tf.GradientTape() as tape:  # of the head alone, so nothing of the backbone is kept for it
            tape.watch(found)
            score = tf.reduce_sum(head([found, *map(tf.constant, beside)], training=False)[:, column])
        weights = weigh(found, tape.gradient(score, found))
        maps.append(tf.reduce_sum(weights * found, axis=-1).numpy())
    return enlarge(np.concatenate(maps), *inputs.images.shape[1:3])


def _mean_gradient(features: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)


def _pixelwise_gradient(features: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """Return Σ α·relu(g) over the places, with α = g² / (2g² + g³ ΣA), which is 1 / (2 + g ΣA) where g counts."""
    rising = tf.nn.relu(gradients)
    total = tf.reduce_sum(tf.nn.relu(features), axis=(1, 2), keepdims=True)
    return tf.reduce_sum(rising / (2 + rising * total), axis=(1, 2), keepdims=True)


def _batches(inputs: ModelInputs, name: str) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield float32 images, and fields if there are any."""
    for start in progress(range(0, len(inputs.images), BATCH), name, unit="batch"):
        images, fields = inputs.of(slice(start, start + BATCH))
        yield (images.astype(np.float32), *(() if fields is None else (fields,)))

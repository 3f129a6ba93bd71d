"""AdaBN: BatchNorm statistics of the images at hand (Li et al., Revisiting Batch Normalization, 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from kmedtl.backbones.blocks import Block, layers_of
from kmedtl.data.pipeline import Pipeline


def adapt(model: keras.Model, blocks: Sequence[Block], images: Pipeline) -> None:
    """Give every BatchNorm layer the mean and variance that it sees on these images; scale and offset stay.

    All layers are adapted in one pass, each batch being normalised by its own statistics as in training; a layer's mean
    and variance are the average over the batches.
    """
    layers = [layer for layer in layers_of(model, blocks) if isinstance(layer, keras.layers.BatchNormalization)]
    before = [(layer.momentum, layer.trainable) for layer in layers]
    for layer in layers:
        layer.momentum, layer.trainable = 0.0, True  # its moving statistics are then those of the last batch
    run = tf.function(lambda batch: model(batch, training=True))
    seen = []
    for batch in tqdm(images.images(), "BatchNorm", images.steps, unit="step", leave=False, ncols=100):
        run(batch)
        seen.append([(layer.moving_mean.numpy(), layer.moving_variance.numpy()) for layer in layers])
    for layer, (momentum, trainable), statistics in zip(layers, before, zip(*seen, strict=True), strict=True):
        layer.momentum, layer.trainable = momentum, trainable
        mean, variance = np.mean([m for m, _ in statistics], 0), np.mean([v for _, v in statistics], 0)
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)

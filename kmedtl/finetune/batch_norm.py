"""BatchNorm statistics of the images at hand, taken at once or while training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from kmedtl.backbones.blocks import HEAD, Block, end_tensors, layers_of
from kmedtl.data.pipeline import Pipeline
from kmedtl.finetune.early_blocks import early_blocks
from kmedtl.recipe import Stage
from kmedtl.system.progress import progress

# `Stage.batch_norm` → the blocks that are adapted before the stage.
ADAPTED: dict[str, Callable[[keras.Model, Sequence[Block]], Sequence[Block]]] = {
    "adapt": lambda model, blocks: blocks,
    "adapt_early": early_blocks,
}


def adapted_blocks(stage: Stage, model: keras.Model, blocks: Sequence[Block]) -> Sequence[Block]:
    """Return the blocks whose statistics a stage takes from the training images first; empty: none.

    Raises:
        UserError: the backbone has no early map.
    """
    return ADAPTED[stage.batch_norm](model, blocks) if stage.batch_norm in ADAPTED else ()


def adapt(model: keras.Model, blocks: Sequence[Block], images: Pipeline) -> None:
    """Give every BatchNorm layer of the blocks the mean and variance that it sees on these images.

    AdaBN (Li et al., Revisiting Batch Normalization, 2018): scale and offset stay. Layers of other blocks do as
    `set_trainable` says, and those behind the last block are not asked.

    All layers are adapted in one pass, each batch being normalised by its own statistics as in training; a layer's are
    those of all batches together. Nothing is dropped out meanwhile.
    """
    norms = _norms(model, blocks)
    if blocks[-1].name != HEAD:
        model = keras.Model(model.inputs, end_tensors(model, blocks[-1]))
    drops = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    before = [(norm.momentum, norm.trainable) for norm in norms], [drop.rate for drop in drops]
    for norm in norms:
        norm.momentum, norm.trainable = 0.0, True  # its moving statistics are then those of the last batch
    for drop in drops:
        drop.rate = 0.0
    run = tf.function(lambda batch: model(batch, training=True))
    seen, counts = [], []
    for batch in progress(images.images(), "BatchNorm", images.steps, unit="step"):
        run(batch)
        seen.append([(norm.moving_mean.numpy(), norm.moving_variance.numpy()) for norm in norms])
        counts.append(len(keras.tree.flatten(batch)[0]))
    for norm, (momentum, trainable), statistics in zip(norms, before[0], zip(*seen, strict=True), strict=True):
        norm.momentum, norm.trainable = momentum, trainable
        means, variances = (np.array(values) for values in zip(*statistics, strict=True))
        mean = np.average(means, 0, counts)
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(np.average(variances + np.square(means), 0, counts) - np.square(mean))
    for drop, rate in zip(drops, before[1], strict=True):
        drop.rate = rate


def remember_an_epoch(model: keras.Model, blocks: Sequence[Block], steps: int) -> None:
    """Let the statistics that BatchNorm layers gather while training reach back over an epoch of so many steps.

    Keras' layers remember a hundred steps or more. With few images that is many epochs: the statistics would still be
    where they began when training ends.
    """
    for norm in _norms(model, blocks):
        norm.momentum = min(norm.momentum, 1 - 1 / steps)


def _norms(model: keras.Model, blocks: Sequence[Block]) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in layers_of(model, blocks) if isinstance(layer, keras.layers.BatchNormalization)]

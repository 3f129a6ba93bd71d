"""What a model saw in an image, as one vector: that which its last layer makes the outputs of."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import keras
import numpy as np
import tensorflow as tf

from kmedtl.edge.shapes import FEATURES, ModelInputs
from kmedtl.edge.tasks.task import of_batches
from kmedtl.heads.build import penultimate, tensors
from kmedtl.system.progress import progress

BATCH = 32


def outputs_and_features(
    model: keras.Model, images: np.ndarray, fields: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Return float32 outputs (N, …) and `features` (N, D) of uint8 (N, H, W, C) and float32 fields, in one pass."""
    whole = _traced(model)
    inputs = ModelInputs(images, fields)
    starts = progress(range(0, len(images), BATCH), "Answers of the model", unit="batch")
    return of_batches([whole(tensors(*inputs.of(slice(at, at + BATCH)))) for at in starts])


@lru_cache(maxsize=1)  # a run asks the same model of several splits, and tracing takes longer than a small one
def _traced(model: keras.Model) -> Callable[[np.ndarray | tuple[np.ndarray, ...]], dict[str, tf.Tensor]]:
    whole = keras.Model(model.inputs, {**model.output, FEATURES: penultimate(model)})
    one, *more = (tf.TensorSpec(given.shape, tf.float32) for given in model.inputs)
    signature = [(one, *more) if more else one]
    return tf.function(lambda inputs: whole(inputs, training=False), input_signature=signature, autograph=False)

"""What a model saw in an image, as one vector: that which its last layer makes the logits of."""

from __future__ import annotations

import keras
import numpy as np

from kmedtl.tasks.classification.model import LOGITS, pooling_of

BATCH = 32


def penultimate(model: keras.Model) -> keras.KerasTensor:
    """Return the tensor (batch, D) that the logits are made of; where neighbours vote, the pooled features."""
    last = model.get_layer(LOGITS)
    return last.input if isinstance(last, keras.layers.Dense) else pooling_of(model).output


def penultimate_features(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return float32 (N, D) of uint8 (N, H, W, C)."""
    return logits_and_features(model, images)[1]


def logits_and_features(model: keras.Model, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 (N, F) logits and (N, D) features of uint8 (N, H, W, C), in one pass."""
    both = keras.Model(model.inputs, [*model.outputs, penultimate(model)])
    starts = range(0, len(images), BATCH)
    parts = [both.predict_on_batch(images[at : at + BATCH].astype(np.float32)) for at in starts]
    logits, features = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(features)

"""What a model saw in an image, as one vector: that which its last layer makes the outputs of."""

from __future__ import annotations

import keras
import numpy as np

from kmedtl.edge.shapes import FEATURES, ModelInputs
from kmedtl.heads.build import penultimate, tensors

BATCH = 32


def outputs_and_features(
    model: keras.Model, images: np.ndarray, fields: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Return float32 outputs (N, …) and `features` (N, D) of uint8 (N, H, W, C) and float32 fields, in one pass."""
    whole = keras.Model(model.inputs, {**model.output, FEATURES: penultimate(model)})
    inputs, starts = ModelInputs(images, fields), range(0, len(images), BATCH)
    parts = [whole.predict_on_batch(tensors(*inputs.of(slice(at, at + BATCH)))) for at in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

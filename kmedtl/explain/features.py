"""What a model saw in an image, as one vector: that which its last layer makes the outputs of."""

from __future__ import annotations

import keras
import numpy as np

from kmedtl.edge.shapes import FEATURES
from kmedtl.heads.build import penultimate

BATCH = 32


def outputs_and_features(model: keras.Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return float32 outputs (N, …) and `features` (N, D) of uint8 (N, H, W, C), in one pass."""
    whole = keras.Model(model.inputs, {**model.output, FEATURES: penultimate(model)})
    starts = range(0, len(images), BATCH)
    parts = [whole.predict_on_batch(images[at : at + BATCH].astype(np.float32)) for at in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

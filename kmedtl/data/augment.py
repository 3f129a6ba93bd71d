"""Augmentation presets by modality: Keras preprocessing layers, applied to batches on the training side only."""

from __future__ import annotations

import keras

# factor: rotation as a fraction of a full turn, shifts and zoom as fractions of the side.
PRESETS: dict[str, dict[str, dict]] = {
    "none": {},
    # No flips: the heart lies on the left and the diaphragm below. Exposure varies between films.
    "xray": {
        "RandomRotation": {"factor": 0.02, "fill_mode": "constant"},
        "RandomTranslation": {"height_factor": 0.05, "width_factor": 0.05, "fill_mode": "constant"},
        "RandomZoom": {"height_factor": 0.1, "fill_mode": "constant"},
        "RandomBrightness": {"factor": 0.15},
        "RandomContrast": {"factor": 0.2},
    },
}


def augmentation(preset: str, seed: int) -> list[keras.Layer]:
    """Return the preset's layers, for float32 batches (N, H, W, C) in 0–255, each with a seed of its own."""
    return [
        getattr(keras.layers, name)(**settings, seed=seed + position)
        for position, (name, settings) in enumerate(PRESETS[preset].items())
    ]

"""Augmentation presets by modality: Keras preprocessing layers, applied to batches on the training side only."""

from __future__ import annotations

import keras
import numpy as np

# factor: rotation as a fraction of a full turn, shifts and zoom as fractions of the side.
FLIP_SIDES = ("RandomFlip", {"mode": "horizontal"})
FLIP_BOTH = ("RandomFlip", {"mode": "horizontal_and_vertical"})
PRESETS: dict[str, tuple[tuple[str, dict], ...]] = {
    "none": (),
    # No flips: the heart lies on the left and the diaphragm below. Exposure varies between films.
    "xray": (
        ("RandomRotation", {"factor": 0.02, "fill_mode": "constant"}),
        ("RandomTranslation", {"height_factor": 0.05, "width_factor": 0.05, "fill_mode": "constant"}),
        ("RandomZoom", {"height_factor": 0.1, "fill_mode": "constant"}),
        ("RandomBrightness", {"factor": 0.15}),
        ("RandomContrast", {"factor": 0.2}),
    ),
    # A lesion has no up and no left; cameras differ in light and colour.
    "skin": (
        FLIP_BOTH,
        ("RandomRotation", {"factor": 0.5, "fill_mode": "reflect"}),
        ("RandomZoom", {"height_factor": 0.15, "fill_mode": "reflect"}),
        ("RandomBrightness", {"factor": 0.15}),
        ("RandomContrast", {"factor": 0.2}),
        ("RandomSaturation", {"factor": (0.4, 0.6)}),
        ("RandomHue", {"factor": 0.03}),
    ),
    # A flip turns a left eye into a right one; above and below differ.
    "retina": (
        FLIP_SIDES,
        ("RandomRotation", {"factor": 0.05, "fill_mode": "constant"}),
        ("RandomZoom", {"height_factor": 0.1, "fill_mode": "constant"}),
        ("RandomBrightness", {"factor": 0.15}),
        ("RandomContrast", {"factor": 0.2}),
        ("RandomHue", {"factor": 0.02}),
    ),
    # Intensities have no unit, so they vary more than in X-rays.
    "mri": (
        FLIP_SIDES,
        ("RandomRotation", {"factor": 0.04, "fill_mode": "constant"}),
        ("RandomTranslation", {"height_factor": 0.05, "width_factor": 0.05, "fill_mode": "constant"}),
        ("RandomZoom", {"height_factor": 0.1, "fill_mode": "constant"}),
        ("RandomBrightness", {"factor": 0.2}),
        ("RandomContrast", {"factor": 0.35}),
    ),
    # Depth runs downwards: shadows and enhancement lie below what casts them, so no vertical flip, hardly a rotation.
    "ultrasound": (
        FLIP_SIDES,
        ("RandomRotation", {"factor": 0.015, "fill_mode": "constant"}),
        ("RandomTranslation", {"height_factor": 0.03, "width_factor": 0.1, "fill_mode": "constant"}),
        ("RandomZoom", {"height_factor": 0.15, "fill_mode": "constant"}),
        ("RandomBrightness", {"factor": 0.2}),
        ("RandomContrast", {"factor": 0.3}),
    ),
    # Tissue has no direction; laboratories stain differently.
    "histology": (
        FLIP_BOTH,
        ("RandomRotation", {"factor": 0.5, "fill_mode": "reflect"}),
        ("StainJitter", {"factor": 0.1}),
        ("RandomBrightness", {"factor": 0.05}),
    ),
}
OF_COLOUR = ("RandomSaturation", "RandomHue", "StainJitter")  # nothing to vary where there is one channel
MIXERS = {"mixup": ("MixUp", {"alpha": 0.2}), "cutmix": ("CutMix", {"factor": 1.0})}

# Optical densities of haematoxylin, eosin and a residual in R, G, B (Ruifrok & Johnston 2001), each of length 1.
STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]], np.float32)


class StainJitter(keras.layers.Layer):
    """Scales each stain's density by 1 ± `factor` and shifts it by ± `factor` / 10, an image at a time.

    After Tellez et al., Whole-slide mitosis detection in H&E breast histology, IEEE TMI 2018.

    Takes and returns float32 RGB (N, H, W, 3) in 0–255.
    """

    def __init__(self, factor: float, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.factor = factor
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: keras.KerasTensor, training: bool = True) -> keras.KerasTensor:
        if not training:
            return images
        shape = (keras.ops.shape(images)[0], 1, 1, 3)
        scale = keras.random.uniform(shape, 1 - self.factor, 1 + self.factor, seed=self.generator)
        shift = keras.random.uniform(shape, -self.factor, self.factor, seed=self.generator)
        density = -keras.ops.log((images + 1) / 256)
        stains = keras.ops.matmul(density, np.linalg.inv(STAINS)) * scale + shift / 10
        return keras.ops.clip(keras.ops.exp(-keras.ops.matmul(stains, STAINS)) * 256 - 1, 0, 255)


def augmentation(preset: str, channels: int, seed: int) -> list[keras.Layer]:
    """Return the preset's layers, for float32 batches (N, H, W, C) in 0–255, each with a seed of its own."""
    wanted = [(name, settings) for name, settings in PRESETS[preset] if channels == 3 or name not in OF_COLOUR]
    return [_layer(name, settings, seed + position) for position, (name, settings) in enumerate(wanted)]


def mixer(mix: str, seed: int) -> keras.Layer | None:
    """Return the layer that mixes the images of a batch, and float labels (N, L) with them; None for `none`."""
    return _layer(*MIXERS[mix], seed) if mix in MIXERS else None


def _layer(name: str, settings: dict, seed: int) -> keras.Layer:
    kind = StainJitter if name == "StainJitter" else getattr(keras.layers, name)
    return kind(**settings, seed=seed)

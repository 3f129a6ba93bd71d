"""Augmentation presets by modality: Keras preprocessing layers, applied to batches on the training side only."""

from __future__ import annotations

from collections.abc import Callable

import keras

from kmedtl.data.moving_layers import RandomAffine, RandomBorder, RandomTranspose
from kmedtl.data.style_layers import FourierMix
from kmedtl.data.varying_layers import RandomBlur, RandomGamma, RandomNoise, StainJitter, Varying

# Rotation as a fraction of a full turn, shifts and zoom as fractions of the side.
FLIP_SIDES = ("RandomFlip", {"mode": "horizontal"})
FLIP_BOTH = ("RandomFlip", {"mode": "horizontal_and_vertical"})
PRESETS: dict[str, tuple[tuple[str, dict], ...]] = {
    "none": (),
    # No flips: the heart lies on the left and the diaphragm below. Exposure varies between films.
    "xray": (
        ("RandomAffine", {"rotation": 0.02, "height": 0.05, "width": 0.05, "zoom": 0.1}),
        ("RandomBrightness", {"factor": 0.15}),
        ("RandomContrast", {"factor": 0.2}),
    ),
    # The geometry of `xray`; optics, dose and display vary as they do between hospitals. Polarity never does: a film
    # that is read inverted is an error, not a variety.
    "xray_strong": (
        ("RandomAffine", {"rotation": 0.02, "height": 0.05, "width": 0.05, "zoom": 0.1}),
        ("RandomBlur", {"share": 0.5, "least": 0.3, "most": 1.5}),
        ("RandomSharpness", {"factor": (0.3, 0.9)}),  # 0.5 changes nothing
        ("RandomNoise", {"deviation": 12.0}),
        ("RandomBrightness", {"factor": 0.25}),
        ("RandomContrast", {"factor": 0.5}),
        ("RandomGamma", {"factor": 0.7}),
    ),
    # A lesion has no up and no left; cameras differ in light and colour.
    "skin": (
        FLIP_BOTH,
        ("RandomAffine", {"rotation": 0.5, "zoom": 0.15, "fill_mode": "reflect"}),
        ("RandomBrightness", {"factor": 0.15}),
        ("RandomContrast", {"factor": 0.2}),
        ("RandomSaturation", {"factor": (0.4, 0.6)}),
        ("RandomHue", {"factor": 0.03}),
    ),
    # A flip turns a left eye into a right one; above and below differ.
    "retina": (
        FLIP_SIDES,
        ("RandomAffine", {"rotation": 0.05, "zoom": 0.1}),
        ("RandomBrightness", {"factor": 0.15}),
        ("RandomContrast", {"factor": 0.2}),
        ("RandomHue", {"factor": 0.02}),
    ),
    # Intensities have no unit, so they vary more than in X-rays.
    "mri": (
        FLIP_SIDES,
        ("RandomAffine", {"rotation": 0.04, "height": 0.05, "width": 0.05, "zoom": 0.1}),
        ("RandomBrightness", {"factor": 0.2}),
        ("RandomContrast", {"factor": 0.35}),
    ),
    # Depth runs downwards: shadows and enhancement lie below what casts them, so no vertical flip, hardly a rotation.
    "ultrasound": (
        FLIP_SIDES,
        ("RandomAffine", {"rotation": 0.015, "height": 0.03, "width": 0.1, "zoom": 0.15}),
        ("RandomBrightness", {"factor": 0.2}),
        ("RandomContrast", {"factor": 0.3}),
    ),
    # Tissue has no direction; laboratories stain differently.
    "histology": (
        FLIP_BOTH,
        ("RandomAffine", {"rotation": 0.5, "fill_mode": "reflect"}),
        ("StainJitter", {"factor": 0.1}),
        ("RandomBrightness", {"factor": 0.05}),
    ),
    # Nothing is interpolated: what is a pixel wide, as vessels on patches are, stays so in images and masks.
    "symmetries": (
        FLIP_BOTH,
        ("RandomTranspose", {}),
        ("RandomBrightness", {"factor": 0.1}),
        ("RandomContrast", {"factor": 0.2}),
    ),
}
OF_COLOUR = ("RandomSaturation", "RandomHue", "StainJitter")  # nothing to vary where there is one channel
STYLES = {"fourier": ("FourierMix", {"share": 0.1, "strength": 1.0})}
MIXERS = {"mixup": ("MixUp", {"alpha": 0.2}), "cutmix": ("CutMix", {"factor": 1.0})}

OWN: dict[str, Callable[..., Varying]] = {  # layers Keras lacks
    "RandomAffine": RandomAffine,
    "StainJitter": StainJitter,
    "RandomBlur": RandomBlur,
    "RandomNoise": RandomNoise,
    "RandomGamma": RandomGamma,
    "RandomTranspose": RandomTranspose,
    "FourierMix": FourierMix,
}


def augmentation(preset: str, channels: int, seed: int) -> list[keras.Layer]:
    """Return the preset's layers, each with a seed of its own.

    They take float32 batches (N, H, W, C) in 0–255, or dictionaries with these as `images`, and `segmentation_masks`
    (N, H, W, M) and `bounding_boxes` (`boxes`, (N, B, 4) of x and y at top left and bottom right in pixels; `labels`,
    (N, B)), which move with them.
    """
    wanted = [(name, settings) for name, settings in PRESETS[preset] if channels == 3 or name not in OF_COLOUR]
    return [_layer(name, settings, seed + position) for position, (name, settings) in enumerate(wanted)]


def bordering(border: str, seed: int) -> list[keras.Layer]:
    """Return the layer of `mask` or `crop`, none of `none`, for batches as those of `augmentation`."""
    return [] if border == "none" else [RandomBorder(border, seed)]


def styling(style: str, seed: int) -> list[keras.Layer]:
    """Return the layer that gives images the style of others, of those that do it to pixels; none of other names."""
    return [_layer(*STYLES[style], seed)] if style in STYLES else []


def mixer(mix: str, seed: int) -> keras.Layer | None:
    """Return the layer that mixes the images of a batch, and float labels (N, L) with them; None for `none`."""
    return _layer(*MIXERS[mix], seed) if mix in MIXERS else None


def _layer(name: str, settings: dict, seed: int) -> keras.Layer:
    kind = OWN[name] if name in OWN else getattr(keras.layers, name)
    if name not in OWN:
        settings = settings | {"bounding_box_format": "xyxy"}  # of "rel_xyxy" Keras 3.15 rotates another box
    return kind(**settings, seed=seed, dtype="float32")  # whatever precision the model computes in

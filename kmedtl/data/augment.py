"""Augmentation presets by modality: Keras preprocessing layers, applied to batches on the training side only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    # The geometry of `xray`; optics, dose and display vary as they do between hospitals. Polarity never does: a film
    # that is read inverted is an error, not a variety.
    "xray_strong": (
        ("RandomRotation", {"factor": 0.02, "fill_mode": "constant"}),
        ("RandomTranslation", {"height_factor": 0.05, "width_factor": 0.05, "fill_mode": "constant"}),
        ("RandomZoom", {"height_factor": 0.1, "fill_mode": "constant"}),
        ("RandomGaussianBlur", {"factor": (0.5, 0.5), "kernel_size": 7, "sigma": (0.3, 1.5)}),  # of every second image
        ("RandomSharpness", {"factor": (0.3, 0.9)}),  # 0.5 changes nothing
        ("RandomNoise", {"deviation": 12.0}),
        ("RandomBrightness", {"factor": 0.25}),
        ("RandomContrast", {"factor": 0.5}),
        ("RandomGamma", {"factor": 0.7}),
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
    # Nothing is interpolated: what is a pixel wide, as vessels on patches are, stays so in images and masks.
    "symmetries": (
        FLIP_BOTH,
        ("RandomTranspose", {}),
        ("RandomBrightness", {"factor": 0.1}),
        ("RandomContrast", {"factor": 0.2}),
    ),
}
OF_COLOUR = ("RandomSaturation", "RandomHue", "StainJitter")  # nothing to vary where there is one channel
MIXERS = {"mixup": ("MixUp", {"alpha": 0.2}), "cutmix": ("CutMix", {"factor": 1.0})}

BORDER = 0.12  # the widest border that `mask` and `crop` take from a side, as a fraction of it

# Optical densities of haematoxylin, eosin and a residual in R, G, B (Ruifrok & Johnston 2001), each of length 1.
STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]], np.float32)


Boxes = dict[str, Any]  # `boxes` and `labels`, as Keras has them


class Varying(keras.layers.Layer):
    """A layer that varies images in training, with random numbers of its own, and else hands them on."""

    def __init__(self, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, given: Any, training: bool = True) -> Any:
        """Vary images, or the entry `images` of a dictionary, as Keras' own layers do; what moves moves with them."""
        if not training:
            return given
        return given | {"images": self.vary(given["images"])} if isinstance(given, dict) else self.vary(given)

    def vary(self, images: keras.KerasTensor) -> keras.KerasTensor:
        """Return the images varied, each by itself."""
        raise NotImplementedError


class StainJitter(Varying):
    """Scales each stain's density by 1 ± `factor` and shifts it by ± `factor` / 10, an image at a time.

    After Tellez et al., Whole-slide mitosis detection in H&E breast histology, IEEE TMI 2018.

    Takes and returns float32 RGB (N, H, W, 3) in 0–255.
    """

    def __init__(self, factor: float, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(seed, **kwargs)
        self.factor = factor

    def vary(self, images: keras.KerasTensor) -> keras.KerasTensor:
        shape = (keras.ops.shape(images)[0], 1, 1, 3)
        scale = keras.random.uniform(shape, 1 - self.factor, 1 + self.factor, seed=self.generator)
        shift = keras.random.uniform(shape, -self.factor, self.factor, seed=self.generator)
        density = -keras.ops.log((images + 1) / 256)
        stains = keras.ops.matmul(density, np.linalg.inv(STAINS)) * scale + shift / 10
        return keras.ops.clip(keras.ops.exp(-keras.ops.matmul(stains, STAINS)) * 256 - 1, 0, 255)


class RandomNoise(Varying):
    """Adds Gaussian noise whose deviation, 0 to `deviation` grey levels, is drawn for each image; stays in 0–255.

    Unlike `keras.layers.GaussianNoise`, which has one deviation for all and leaves the range. Takes and returns float32
    (N, H, W, C) in 0–255.
    """

    def __init__(self, deviation: float, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(seed, **kwargs)
        self.deviation = deviation

    def vary(self, images: keras.KerasTensor) -> keras.KerasTensor:
        count, height, width, _ = keras.ops.shape(images)
        deviation = keras.random.uniform((count, 1, 1, 1), 0, self.deviation, seed=self.generator)
        noise = keras.random.normal((count, height, width, 1), seed=self.generator)  # the same in all colours
        return keras.ops.clip(images + deviation * noise, 0, 255)


class RandomGamma(Varying):
    """Raises each image's grey values, as fractions of 255, to a power from 1 / (1 + `factor`) to 1 + `factor`.

    As many images become darker as lighter. Takes and returns float32 (N, H, W, C) in 0–255.
    """

    def __init__(self, factor: float, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(seed, **kwargs)
        self.factor = factor

    def vary(self, images: keras.KerasTensor) -> keras.KerasTensor:
        shape, bound = (keras.ops.shape(images)[0], 1, 1, 1), float(np.log1p(self.factor))
        power = keras.ops.exp(keras.random.uniform(shape, -bound, bound, seed=self.generator))
        return 255 * (keras.ops.clip(images, 0, 255) / 255) ** power


class RandomTranspose(Varying):
    """Exchanges rows and columns of every second image; with both flips it makes the eight symmetries of a square.

    Takes and returns float32 (N, side, side, C) in 0–255.
    """

    def call(self, given: Any, training: bool = True) -> Any:
        if not training:
            return given
        if not isinstance(given, dict):
            return self.vary(given)
        chosen = self._chosen(given["images"])
        planes = {name: given[name] for name in ("images", "segmentation_masks") if name in given}
        moved: dict[str, Any] = {name: _transposed(array, chosen) for name, array in planes.items()}
        if "bounding_boxes" in given:
            found = given["bounding_boxes"]
            swapped = keras.ops.take(found["boxes"], [1, 0, 3, 2], axis=-1)
            moved["bounding_boxes"] = found | {"boxes": keras.ops.where(chosen[..., 0], swapped, found["boxes"])}
        return given | moved

    def vary(self, images: keras.KerasTensor) -> keras.KerasTensor:
        return _transposed(images, self._chosen(images))

    def _chosen(self, images: keras.KerasTensor) -> keras.KerasTensor:
        shape = (keras.ops.shape(images)[0], 1, 1, 1)
        return keras.random.uniform(shape, seed=self.generator) < 0.5


def _transposed(planes: keras.KerasTensor, chosen: keras.KerasTensor) -> keras.KerasTensor:
    return keras.ops.where(chosen, keras.ops.transpose(planes, (0, 2, 1, 3)), planes)


class RandomBorder(Varying):
    """Takes the border from each image, 0 to `BORDER` of its side, drawn for each of the four sides by itself.

    Frames, burned-in text and markers lie there, and a model that reads them has learned nothing of the disease.

    Args:
        kind: `mask` blackens the border, `crop` cuts it off and stretches the rest to the whole image.

    Takes and returns float32 (N, H, W, C) in 0–255.
    """

    def __init__(self, kind: str, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(seed, **kwargs)
        self.take_away, self.move = {"mask": (_blacken, _stay), "crop": (_cut_off, _stretch)}[kind]

    def call(self, given: Any, training: bool = True) -> Any:
        if not training:
            return given
        if not isinstance(given, dict):
            return self.vary(given)
        widths = self._widths(given["images"])
        moved = {"images": self.take_away(given["images"], widths)}
        if "segmentation_masks" in given:
            moved["segmentation_masks"] = self.take_away(given["segmentation_masks"], widths, "nearest")
        if "bounding_boxes" in given:
            moved["bounding_boxes"] = self.move(given["bounding_boxes"], widths, given["images"].shape)
        return given | moved

    def vary(self, images: keras.KerasTensor) -> keras.KerasTensor:
        return self.take_away(images, self._widths(images))

    def _widths(self, images: keras.KerasTensor) -> keras.KerasTensor:
        shape = (4, keras.ops.shape(images)[0])
        return keras.random.uniform(shape, 0, BORDER, seed=self.generator)


def _blacken(images: keras.KerasTensor, widths: keras.KerasTensor, interpolation: str = "") -> keras.KerasTensor:
    """Blacken the borders: `widths` (4, N) at top, bottom, left and right, as fractions of the side."""
    _, height, width, _ = images.shape
    top, bottom, left, right = (part[:, None] for part in keras.ops.unstack(widths))
    down, across = ((keras.ops.arange(side, dtype="float32") + 0.5)[None] / side for side in (height, width))
    rows = keras.ops.logical_and(down > top, down < 1 - bottom)
    columns = keras.ops.logical_and(across > left, across < 1 - right)
    kept = keras.ops.logical_and(rows[:, :, None, None], columns[:, None, :, None])
    return images * keras.ops.cast(kept, images.dtype)


def _cut_off(
    images: keras.KerasTensor, widths: keras.KerasTensor, interpolation: str = "bilinear"
) -> keras.KerasTensor:
    """Cut the borders off, `widths` as of `_blacken`, and stretch the rest."""
    _, height, width, _ = images.shape
    top, bottom, left, right = keras.ops.unstack(widths)
    across, down, none = 1 - left - right, 1 - top - bottom, keras.ops.zeros_like(top)
    # Output pixel → input pixel; whole numbers are the middles of pixels.
    start_x = left * width + (across - 1) / 2
    start_y = top * height + (down - 1) / 2
    transforms = keras.ops.stack([across, none, start_x, none, down, start_y, none, none], axis=1)
    return keras.ops.image.affine_transform(
        images, transforms, interpolation, fill_mode="nearest", data_format="channels_last"
    )


def _stay(found: Boxes, widths: keras.KerasTensor, shape: tuple[int, ...]) -> Boxes:
    return found


def _stretch(found: Boxes, widths: keras.KerasTensor, shape: tuple[int, ...]) -> Boxes:
    """Return boxes where they are after `_cut_off`, no further out than the image."""
    top, bottom, left, right = (part[:, None, None] for part in keras.ops.unstack(widths))
    x, y = found["boxes"][..., 0::2], found["boxes"][..., 1::2]
    height, width = shape[1:3]
    x = keras.ops.clip((x - left * width) / (1 - left - right), 0, width)
    y = keras.ops.clip((y - top * height) / (1 - top - bottom), 0, height)
    return found | {"boxes": keras.ops.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], axis=-1)}


OWN: dict[str, Callable[..., Varying]] = {  # layers Keras lacks
    "StainJitter": StainJitter,
    "RandomNoise": RandomNoise,
    "RandomGamma": RandomGamma,
    "RandomTranspose": RandomTranspose,
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


def mixer(mix: str, seed: int) -> keras.Layer | None:
    """Return the layer that mixes the images of a batch, and float labels (N, L) with them; None for `none`."""
    return _layer(*MIXERS[mix], seed) if mix in MIXERS else None


def _layer(name: str, settings: dict, seed: int) -> keras.Layer:
    kind = OWN[name] if name in OWN else getattr(keras.layers, name)
    if name not in OWN:
        settings = settings | {"bounding_box_format": "xyxy"}  # of "rel_xyxy" Keras 3.15 rotates another box
    return kind(**settings, seed=seed, dtype="float32")  # whatever precision the model computes in

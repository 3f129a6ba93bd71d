"""Layers that vary images in training and that Keras lacks; what moves with an image moves with it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

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

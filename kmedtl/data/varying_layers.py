"""Layers that vary the values of images in training and that Keras lacks."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

# Optical densities of haematoxylin, eosin and a residual in R, G, B (Ruifrok & Johnston 2001), each of length 1.
STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]], np.float32)
RADIUS = 3  # of a blur, in pixels


class Varying(keras.layers.Layer):
    """A layer that varies images in training, with random numbers of its own, and else hands them on."""

    def __init__(self, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, given: Any, training: bool = True) -> Any:
        """Vary images, or the entry `images` of a dictionary, as Keras' own layers do."""
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


class RandomBlur(Varying):
    """Blurs images by a Gaussian, each by a deviation of its own, and leaves the others as they are.

    `keras.layers.RandomGaussianBlur` draws one deviation for a whole batch, and takes ten times as long. Takes and
    returns float32 (N, H, W, C).

    Args:
        share: of the images that are blurred.
        least, most: the deviation in pixels; the filter reaches `RADIUS` pixels far.
    """

    def __init__(self, share: float, least: float, most: float, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(seed, **kwargs)
        self.share, self.least, self.most = share, least, most

    def vary(self, images: keras.KerasTensor) -> keras.KerasTensor:
        count = keras.ops.shape(images)[0]
        deviations = keras.random.uniform((count,), self.least, self.most, seed=self.generator)
        chosen = keras.random.uniform((count,), seed=self.generator) < self.share
        return blurred(images, keras.ops.where(chosen, deviations, 1e-3))


def blurred(images: keras.KerasTensor, deviations: keras.KerasTensor) -> keras.KerasTensor:
    """Return images (N, H, W, C) blurred by Gaussians of deviations (N,) in pixels, mirrored at the border."""
    places = np.arange(-RADIUS, RADIUS + 1, dtype=np.float32)
    weights = keras.ops.exp(-0.5 * (places[:, None] / deviations) ** 2)
    weights = weights / keras.ops.sum(weights, axis=0)
    _, height, width, _ = images.shape
    around = keras.ops.pad(images, [(0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)], "symmetric")
    each = list(enumerate(keras.ops.unstack(weights[:, :, None, None, None])))
    rows = sum(around[:, start : start + height] * weight for start, weight in each)  # 2 · 7 products, not 7 · 7
    return sum(rows[:, :, start : start + width] * weight for start, weight in each)


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

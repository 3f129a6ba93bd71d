"""Layers that move images in training and that Keras lacks: masks and boxes move with their image."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kmedtl.data.varying_layers import Varying

BORDER = 0.12  # the widest border that `mask` and `crop` take from a side, as a fraction of it

Boxes = dict[str, Any]  # `boxes`, (N, B, 4) of x and y at top left and bottom right in pixels, and `labels`


class Moving(Varying):
    """A layer that moves each image by what it draws for it.

    It takes float32 batches (N, H, W, C), or dictionaries as those of `kmedtl.data.augment.augmentation`.
    """

    def draw(self, images: keras.KerasTensor) -> Any:
        """Return what is drawn for a batch."""
        raise NotImplementedError

    def planes(self, planes: keras.KerasTensor, drawn: Any, interpolation: str = "bilinear") -> keras.KerasTensor:
        """Return images or masks (N, H, W, C) moved."""
        raise NotImplementedError

    def boxes(self, found: Boxes, drawn: Any, shape: tuple[int, ...]) -> Boxes:
        """Return boxes moved, of images of a shape."""
        raise NotImplementedError

    def call(self, given: Any, training: bool = True) -> Any:
        """Move images and what moves with them."""
        if not training or not isinstance(given, dict):
            return super().call(given, training)
        images = given["images"]
        drawn = self.draw(images)
        moved: dict[str, Any] = {"images": self.planes(images, drawn)}
        if "segmentation_masks" in given:
            moved["segmentation_masks"] = self.planes(given["segmentation_masks"], drawn, "nearest")
        if "bounding_boxes" in given:
            moved["bounding_boxes"] = self.boxes(given["bounding_boxes"], drawn, images.shape)
        return given | moved

    def vary(self, images: keras.KerasTensor) -> keras.KerasTensor:
        return self.planes(images, self.draw(images))


class RandomAffine(Moving):
    """Turns, shifts and zooms each image in one step, so that its pixels are interpolated once.

    Args:
        rotation: the largest angle either way, as a fraction of a full turn.
        height, width: the largest shifts either way, as fractions of the sides.
        zoom: the image shows from 1 − `zoom` to 1 + `zoom` times its sides.
        fill_mode: what lies outside: `constant`, which is 0, or `reflect`.
    """

    def __init__(
        self,
        rotation: float = 0.0,
        height: float = 0.0,
        width: float = 0.0,
        zoom: float = 0.0,
        fill_mode: str = "constant",
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.most = np.array([2 * np.pi * rotation, zoom, width, height], np.float32)
        self.fill_mode = fill_mode

    def draw(self, images: keras.KerasTensor) -> tuple[keras.KerasTensor, ...]:
        """Return (N,) each: x and y across an output pixel's step to the right, and the shifts, in input pixels.

        A step down is one to the right, turned by a quarter.
        """
        count, height, width, _ = keras.ops.shape(images)
        drawn = keras.random.uniform((4, count), -1, 1, seed=self.generator) * self.most[:, None]
        angle, zoom, across, down = keras.ops.unstack(drawn)
        x, y = (1 + zoom) * keras.ops.cos(angle), (1 + zoom) * keras.ops.sin(angle)
        return x, y, across * width, down * height

    def planes(
        self, planes: keras.KerasTensor, drawn: tuple[keras.KerasTensor, ...], interpolation: str = "bilinear"
    ) -> keras.KerasTensor:
        x, y, across, down = drawn
        _, height, width, _ = keras.ops.shape(planes)
        middle_x, middle_y, none = (width - 1) / 2, (height - 1) / 2, keras.ops.zeros_like(x)
        start_x = middle_x + across - x * middle_x + y * middle_y
        start_y = middle_y + down - y * middle_x - x * middle_y
        transforms = keras.ops.stack([x, -y, start_x, y, x, start_y, none, none], axis=1)
        return keras.ops.image.affine_transform(
            planes, transforms, interpolation, self.fill_mode, data_format="channels_last"
        )

    def boxes(self, found: Boxes, drawn: tuple[keras.KerasTensor, ...], shape: tuple[int, ...]) -> Boxes:
        """Return the boxes around the moved ones, no further out than the image."""
        step_x, step_y, across, down = (part[:, None, None] for part in drawn)
        height, width = shape[1:3]
        left, top, right, bottom = keras.ops.unstack(found["boxes"], axis=-1)
        x = keras.ops.stack([left, right, left, right], axis=-1) - width / 2 - across
        y = keras.ops.stack([top, top, bottom, bottom], axis=-1) - height / 2 - down
        size = step_x**2 + step_y**2
        x, y = (step_x * x + step_y * y) / size + width / 2, (step_x * y - step_y * x) / size + height / 2
        x, y = keras.ops.clip(x, 0, width), keras.ops.clip(y, 0, height)
        ends = [end(one, axis=-1) for end in (keras.ops.min, keras.ops.max) for one in (x, y)]
        return found | {"boxes": keras.ops.stack(ends, axis=-1)}


class RandomTranspose(Moving):
    """Exchanges rows and columns of every second image; with both flips it makes the eight symmetries of a square.

    Takes and returns float32 (N, side, side, C) in 0–255.
    """

    def draw(self, images: keras.KerasTensor) -> keras.KerasTensor:
        """Return whether each image is exchanged, bool (N, 1, 1, 1)."""
        return keras.random.uniform((keras.ops.shape(images)[0], 1, 1, 1), seed=self.generator) < 0.5

    def planes(
        self, planes: keras.KerasTensor, drawn: keras.KerasTensor, interpolation: str = "bilinear"
    ) -> keras.KerasTensor:
        return keras.ops.where(drawn, keras.ops.transpose(planes, (0, 2, 1, 3)), planes)

    def boxes(self, found: Boxes, drawn: keras.KerasTensor, shape: tuple[int, ...]) -> Boxes:
        swapped = keras.ops.take(found["boxes"], [1, 0, 3, 2], axis=-1)
        return found | {"boxes": keras.ops.where(drawn[..., 0], swapped, found["boxes"])}


class RandomBorder(Moving):
    """Takes the border from each image, 0 to `BORDER` of its side, drawn for each of the four sides by itself.

    Frames, burned-in text and markers lie there, and a model that reads them has learned nothing of the disease.

    Args:
        kind: `mask` blackens the border, `crop` cuts it off and stretches the rest to the whole image.

    Takes and returns float32 (N, H, W, C) in 0–255.
    """

    def __init__(self, kind: str, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(seed, **kwargs)
        self.take_away, self.move = {"mask": (_blacken, _stay), "crop": (_cut_off, _stretch)}[kind]

    def draw(self, images: keras.KerasTensor) -> keras.KerasTensor:
        """Return the widths at top, bottom, left and right, (4, N), as fractions of the side."""
        return keras.random.uniform((4, keras.ops.shape(images)[0]), 0, BORDER, seed=self.generator)

    def planes(
        self, planes: keras.KerasTensor, drawn: keras.KerasTensor, interpolation: str = "bilinear"
    ) -> keras.KerasTensor:
        return self.take_away(planes, drawn, interpolation)

    def boxes(self, found: Boxes, drawn: keras.KerasTensor, shape: tuple[int, ...]) -> Boxes:
        return self.move(found, drawn, shape)


def _blacken(
    images: keras.KerasTensor, widths: keras.KerasTensor, interpolation: str = "bilinear"
) -> keras.KerasTensor:
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

"""From an image of 0–255 to what the weights of a backbone expect, inside the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import KerasTensor, layers

from kmedtl.backbones.spec import Backbone
from kmedtl.backbones.weights_card import ChannelOrder, InputRange, WeightsCard
from kmedtl.errors import UserError

# Of ImageNet's training images, as the authors of the published weights state them: RGB, 0–1 (torch); 0–255 (Caffe).
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
CAFFE_MEAN = (123.68, 116.779, 103.939)

SCALE_AND_OFFSET: dict[str, tuple[float | list[float], float | list[float]]] = {  # of red, green and blue
    "tf": (1 / 127.5, -1.0),
    "lite": (1 / 128, -127 / 128),
    "torch": ([1 / (255 * std) for std in STD], [-mean / std for mean, std in zip(MEAN, STD, strict=True)]),
    "caffe": (1.0, [-mean for mean in CAFFE_MEAN]),
}


@dataclass(frozen=True)
class Normalisation:
    """x · scale + offset, each one number or one a channel in `order`; None: the backbone's own layers do it."""

    order: ChannelOrder
    scale: float | Sequence[float] | None
    offset: float | Sequence[float] | None

    @property
    def by_channel(self) -> bool:
        """Whether channels of one value become different ones."""
        return not (isinstance(self.scale, float | None) and isinstance(self.offset, float | None))


def own_order(row: Backbone) -> ChannelOrder:
    """Return the order of channels that the ImageNet weights of a backbone expect."""
    return "bgr" if row.input_mode == "caffe" else "rgb"


def normalisation_of(row: Backbone, card: WeightsCard | None) -> Normalisation:
    """Return what the weights expect: those of a card, else ImageNet's.

    Raises:
        UserError: a card that asks for something else than a backbone's own layers do.
    """
    return normalisation(row, card.input_range, card.channel_order) if card else normalisation(row)


def normalisation(
    row: Backbone, input_range: InputRange = "backbone", order: ChannelOrder | None = None
) -> Normalisation:
    """Return how 0–255 becomes `input_range` in an order of channels; None: the backbone's own.

    Raises:
        UserError: the backbone's own layers normalise, and something else is asked for.
    """
    order = order or own_order(row)
    if row.input_mode in ("none", "adapted"):
        if input_range != "backbone" or order != "rgb":
            raise UserError(
                f"weights of {row.name}: its own layers normalise RGB of 0–255; expected no other range or order. "
                f"Received: {input_range}, {order}; leave --input-range and --channel-order out, or choose another "
                "backbone."
            )
        return Normalisation("rgb", None, None)
    if isinstance(input_range, tuple):
        low, high = input_range
        return Normalisation(order, (high - low) / 255, low)
    scale, offset = SCALE_AND_OFFSET["torch" if input_range == "imagenet" else row.input_mode]
    return Normalisation(order, _in_order(scale, order), _in_order(offset, order))


def normalise(image: KerasTensor, how: Normalisation) -> KerasTensor:
    """Turn 0–255 of one or three channels into what the weights expect, by operations that TFLite has in int8."""
    x = image
    if image.shape[-1] == 1:
        x = layers.Concatenate(name="gray_to_rgb")([x, x, x])
    elif how.order == "bgr":
        x = keras.ops.take(x, [2, 1, 0], axis=-1)
    if how.scale is None:
        return x
    return layers.Rescaling(how.scale, how.offset, name="normalise")(x)


def _in_order(values: float | list[float], order: ChannelOrder) -> float | list[float]:
    return values[::-1] if isinstance(values, list) and order == "bgr" else values

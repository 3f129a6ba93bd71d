"""What an imported weights file says of itself: where it is from, what was done to it, how to feed it.

The card travels inside the file, as JSON in one attribute of its HDF5 root; a weights file of Keras has none.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py

from kmedtl import config
from kmedtl.errors import UserError, expect

ATTRIBUTE = "kmedtl_card"
LARGEST = 60_000  # characters; HDF5 keeps 64 KB in an attribute
ChannelOrder = Literal["rgb", "bgr"]
InputRange = Literal["backbone", "imagenet"] | tuple[float, float]


@dataclass(frozen=True)
class WeightsCard:
    """Where imported weights are from, and what must be known to use them.

    Attributes:
        backbone: name of the registry.
        licence: as whoever imported them stated it.
        file, sha256: of the original.
        source: where it was had from.
        trained_on: names of data sets whose images the weights have seen.
        input_range: what the weights expect: `backbone`, as those of ImageNet that the registry knows; `imagenet`, the
            mean and deviation of torchvision; or what 0 and 255 become.
        channel_order: of the three channels.
        left_out: tensors of the original that are no part of the backbone.
        adaptations: what was changed, and in what the backbone differs from the one that was trained; a sentence each.

    Raises:
        UserError: no licence, or a range that is none.
    """

    backbone: str
    licence: str
    file: str
    sha256: str
    source: str = ""
    trained_on: tuple[str, ...] = ()
    input_range: InputRange = "backbone"
    channel_order: ChannelOrder = "rgb"
    left_out: tuple[str, ...] = ()
    adaptations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        expect(bool(self.licence.strip()), "licence", "the terms that the weights come under", self.licence)
        if isinstance(self.input_range, tuple):
            sound = all(map(math.isfinite, self.input_range)) and self.input_range[0] < self.input_range[1]
            expect(sound, "input_range", "LOW,HIGH, the first below the second", self.input_range)


def write_card(path: Path, card: WeightsCard) -> None:
    """Write the card into a `.weights.h5` file.

    Raises:
        UserError: a card too long for an attribute.
    """
    text = json.dumps(config.to_dict(card), ensure_ascii=False)
    expect(len(text.encode()) <= LARGEST, "card", f"at most {LARGEST} bytes; shorten its texts", len(text.encode()))
    with h5py.File(path, "a") as file:
        file.attrs[ATTRIBUTE] = text


def read_card(path: Path) -> WeightsCard | None:
    """Return the card of a weights file that `check_hdf5` has passed; None where it has none.

    Raises:
        UserError: the card is damaged.
        OSError, RuntimeError, KeyError, ValueError: as h5py says that it is no sound HDF5 file.
    """
    with h5py.File(path, "r") as file:
        text = file.attrs.get(ATTRIBUTE)
    if text is None:
        return None
    try:
        expect(isinstance(text, str) and len(text) <= LARGEST, "card", "text", type(text).__name__)
        return config.build(WeightsCard, json.loads(text), text_as_number=False)
    except (ValueError, RecursionError, UserError) as error:
        reason = " ".join(str(error).split()).rstrip(".")[:200]
        raise UserError(f"{path}: its {ATTRIBUTE} is damaged ({reason}); import the original anew.") from None

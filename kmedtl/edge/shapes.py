"""Whether a model is the one that its document speaks of, by what goes in and comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kmedtl.edge.fields import FIELDS, width
from kmedtl.edge.model_info import MEMBER, ModelInfo
from kmedtl.edge.pooling import ATTENTION, KNOTS
from kmedtl.errors import UserError

FEATURES = "features"  # what a model's outputs are made of
Side = int | str | None  # of a tensor; text or None where the file leaves it open


class ModelInputs(NamedTuple):
    """What a model is given of N images: pixels, uint8 (N, H, W, C), and fields, float32 (N, D), if it takes any."""

    images: np.ndarray
    fields: np.ndarray | None = None

    def of(self, rows: np.ndarray | slice) -> ModelInputs:
        """Return those of some of the images."""
        return ModelInputs(self.images[rows], None if self.fields is None else self.fields[rows])

    def named(self) -> dict[str, np.ndarray]:
        """Return them by the names of the model's inputs."""
        return {"image": self.images} | ({} if self.fields is None else {FIELDS: self.fields})


@dataclass(frozen=True)
class Shapes:
    """What a runtime says of its model.

    Attributes:
        image: height, width and channels of an image.
        outputs: name → how many numbers an image; `features` among them where the file has them.
        fields: how many numbers an image the input `fields` has; 0: there is none.
    """

    image: tuple[Side, ...]
    outputs: Mapping[str, Side]
    fields: Side = 0


def check_fits(path: Path, shapes: Shapes, info: ModelInfo) -> None:
    """Refuse a model whose document speaks of another one.

    Raises:
        UserError: it takes other images or fields, or answers with other outputs or another number of features.
    """
    known, features = info.out_of_distribution, shapes.outputs.get(FEATURES)
    expected = {
        "images of (height, width, channels)": (shapes.image, (info.size, info.size, info.channels)),
        "numbers of fields": (shapes.fields, width(info.fields)),
        **{name: (shapes.outputs.get(name), wide) for name, wide in info.task.widths(info.decoder).items()},
        ATTENTION: (shapes.outputs.get(ATTENTION), KNOTS if info.slices == ATTENTION else None),
        FEATURES: (features, known.width if known and features is not None else features),
    }
    for name, (found, wanted) in expected.items():
        if found != wanted:
            raise UserError(f"{path}: its {MEMBER} says {name}: {wanted}, the model has {found}; export it again.")

"""Whether a model is the one that its document speaks of, by what goes in and comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kmedtl.edge.model_info import MEMBER, ModelInfo
from kmedtl.errors import UserError

FEATURES = "features"  # what a model's outputs are made of
Side = int | str | None  # of a tensor; text or None where the file leaves it open


@dataclass(frozen=True)
class Shapes:
    """What a runtime says of its model.

    Attributes:
        image: height, width and channels of an image.
        outputs: name → how many numbers an image; `features` among them where the file has them.
    """

    image: tuple[Side, ...]
    outputs: Mapping[str, Side]


def check_fits(path: Path, shapes: Shapes, info: ModelInfo) -> None:
    """Refuse a model whose document speaks of another one.

    Raises:
        UserError: it takes other images, or answers with other outputs or another number of features.
    """
    known, features = info.out_of_distribution, shapes.outputs.get(FEATURES)
    expected = {
        "images of (height, width, channels)": (shapes.image, (info.size, info.size, info.channels)),
        **{name: (shapes.outputs.get(name), width) for name, width in info.task.widths(info.decoder).items()},
        FEATURES: (features, known.width if known and features is not None else features),
    }
    for name, (found, wanted) in expected.items():
        if found != wanted:
            raise UserError(f"{path}: its {MEMBER} says {name}: {wanted}, the model has {found}; export it again.")

"""Whether a model is the one that its document speaks of, by what goes in and comes out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kmedtl.edge.model_info import MEMBER, ModelInfo
from kmedtl.errors import UserError

Side = int | str | None  # of a tensor; text or None where the file leaves it open


@dataclass(frozen=True)
class Shapes:
    """What a runtime says of its model.

    Attributes:
        image: height, width and channels of an image.
        logits, features: how many an image; features are None where the file has none.
    """

    image: tuple[Side, ...]
    logits: Side
    features: Side = None


def check_fits(path: Path, shapes: Shapes, info: ModelInfo) -> None:
    """Refuse a model whose document speaks of another one.

    Raises:
        UserError: it takes other images, or answers with another number of logits or features.
    """
    known = info.out_of_distribution
    told = {
        "images of (height, width, channels)": (shapes.image, (info.size, info.size, info.channels)),
        "logits": (shapes.logits, len(info.findings)),
        "features": (shapes.features, known.width if known and shapes.features is not None else shapes.features),
    }
    for name, (found, said) in told.items():
        if found != said:
            raise UserError(f"{path}: its {MEMBER} says {name}: {said}, the model has {found}; export it again.")

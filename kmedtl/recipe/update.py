"""The part of a recipe that makes it the update of a finished run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kmedtl.errors import expect

Replay = Literal["images", "none"]


@dataclass(frozen=True)
class Update:
    """How a finished run learns from the images of `data.source` as well; `kmedtl update` fills it in.

    Attributes:
        run: the run folder whose weights the stages start from, and whose images keep their split; empty: no update.
        replay: what of the run's training images is learned again beside the new ones, so that they are not forgotten:
            the `images` (Robins, Catastrophic Forgetting, Rehearsal and Pseudorehearsal, 1995), or `none`.
        margin: by how much the headline figure may fall on the run's own test at most (non-inferiority).
    """

    run: str = ""
    replay: Replay = "images"
    margin: float = 0.005

    def __post_init__(self) -> None:
        expect(0 < self.margin < 1, "update.margin", "above 0 and below 1", self.margin)

"""How logits become masks: what validation chose of each structure, which every model file carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kmedtl.edge.tasks.mask_parts import tidied
from kmedtl.errors import expect
from kmedtl.images.marks import LONGEST, is_name

HIGHEST = 255  # a probability is rounded to a level of 0–255, so that what a run keeps is what it judged
MIDDLE = 127  # the threshold of a probability of 0.5: what is called has a level above it
Unit = Literal["px", "mm"]


@dataclass(frozen=True)
class MaskDecoder:
    """How logits become masks: a pixel belongs to a structure whose level is above the structure's threshold.

    Attributes:
        structures: their names, in the order of the output's channels.
        thresholds: of each structure, a level of 0–254.
        smallest: of each structure: connected parts of fewer pixels of the model are dropped.
        largest, filled: of each structure: the largest part alone is kept, holes are filled; (): of none.
        tolerance: up to so far apart, in `unit`, two borders agree.
        aspect: how a file's image lies in the model's square, as of `kmedtl.images.reading.Reading`.
        unit: of distances in the figures of the run: `mm`, where every image of it said how far apart its pixels are,
            or `px`, pixels of the file. An answer's areas go by its own file.
        volumes: images are slices of volumes: parts go through slices, and `smallest` counts voxels.

    Raises:
        UserError: another number of thresholds than structures, or one out of range.
    """

    structures: tuple[str, ...]
    thresholds: tuple[int, ...]
    smallest: tuple[int, ...]
    tolerance: float
    aspect: Literal["stretch", "keep"] = "stretch"
    unit: Unit = "px"
    volumes: bool = False
    largest: tuple[bool, ...] = ()
    filled: tuple[bool, ...] = ()
    kind: Literal["segmentation"] = "segmentation"

    def __post_init__(self) -> None:
        count = len(self.structures)
        for name in self.structures:
            expect(is_name(name), "structures", f"names of letters, digits, _ and -, {LONGEST} at most", name)
        distinct = len({name.casefold() for name in self.structures}) == count > 0
        expect(distinct, "structures", "names that differ in more than case", self.structures)
        expect(len(self.thresholds) == count, "thresholds", f"{count}, one a structure", self.thresholds)
        expect(all(0 <= one < HIGHEST for one in self.thresholds), "thresholds", "levels of 0 to 254", self.thresholds)
        expect(len(self.smallest) == count, "smallest", f"{count}, one a structure", self.smallest)
        expect(all(one >= 0 for one in self.smallest), "smallest", "0 pixels or more", self.smallest)
        for name in ("largest", "filled"):
            expect(len(getattr(self, name)) in (0, count), name, f"{count}, one a structure", getattr(self, name))
        expect(0 < self.tolerance <= 100, "tolerance", "above 0, at most 100", self.tolerance)

    @property
    def tidies(self) -> bool:
        """Whether any part is dropped or any hole filled."""
        return any((*self.smallest, *self.largest, *self.filled))

    def tidied(self, masks: np.ndarray, grown: float) -> np.ndarray:
        """Return masks, bool (…, M), without the parts that are dropped and with holes filled.

        Args:
            grown: how many pixels here are one of the model's, which `smallest` counts.
        """
        if not self.tidies:
            return masks
        no = (False,) * len(self.structures)
        return tidied(masks, [one * grown for one in self.smallest], self.largest or no, self.filled or no)


def rules(decoder: MaskDecoder) -> list[str]:
    """Return what is called each structure, in words."""
    return [
        f"{name} from a probability of {(threshold + 0.5) / HIGHEST:.3f}{of_parts(decoder, number)}"
        for number, (name, threshold) in enumerate(zip(decoder.structures, decoder.thresholds, strict=True))
    ]


def of_parts(decoder: MaskDecoder, number: int) -> str:
    """Return which parts of a structure are kept, in words that follow others; empty where nothing is changed."""
    unit, smallest = "voxels" if decoder.volumes else "pixels", decoder.smallest[number]
    words = (
        f", parts of {smallest} {unit} of the model or more" if smallest else "",
        ", its largest part alone" if decoder.largest and decoder.largest[number] else "",
        ", holes filled" if decoder.filled and decoder.filled[number] else "",
    )
    return "".join(words)


def plain(
    structures: Sequence[str],
    tolerance: float,
    aspect: Literal["stretch", "keep"],
    unit: Unit = "px",
    volumes: bool = False,
) -> MaskDecoder:
    """Return a decoder that calls a pixel from a probability of a half on, and drops nothing."""
    count = len(structures)
    return MaskDecoder(tuple(structures), (MIDDLE,) * count, (0,) * count, tolerance, aspect, unit, volumes)

"""From a logit a pixel to the masks of structures, at the size of the file. NumPy and Pillow; SciPy to drop specks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kmedtl.edge.tasks.mask_decoder import HIGHEST, MaskDecoder, rules
from kmedtl.edge.tasks.task import Cell, EdgeTask, Measurement, Outputs, Slice, VolumeLabels
from kmedtl.images.placement import placement, to_file

MASK = "mask"
NOTHING = "none"  # the decision where no structure is there
FURTHEST = 30.0  # of a logit, beyond which a probability is 0 or 1 in float32


def _decision(decoder: MaskDecoder, sizes: Sequence[int] | None) -> str | None:
    """Return the structures that have any pixel or voxel; None of what could not be read."""
    if sizes is None:
        return None
    return ", ".join(name for name, size in zip(decoder.structures, sizes, strict=True) if size) or NOTHING


@dataclass(frozen=True)
class MaskAnswer:
    """The masks of an image.

    Attributes:
        called: which pixels belong to a structure, bool (h, w, M): of the model's square, or of the file's image where
            `placed` is True; None of an image that could not be read.
        pixel: the area of a pixel of the file in mm²; 0: unknown.
    """

    decoder: MaskDecoder
    called: np.ndarray | None
    placed: bool = False
    pixel: float = 0.0

    @property
    def areas(self) -> tuple[int, ...] | None:
        """The pixels of each structure."""
        return None if self.called is None else tuple(self.called.sum(axis=(0, 1)).tolist())

    @property
    def mm2(self) -> tuple[float | None, ...]:
        """The area of each structure in mm²; None where the file does not say how far apart its pixels are."""
        if self.areas is None or not self.pixel:
            return (None,) * len(self.decoder.structures)
        return tuple(area * self.pixel for area in self.areas)

    @property
    def decision(self) -> str | None:
        """The structures that are there."""
        return _decision(self.decoder, self.areas)

    def masks(self) -> dict[str, np.ndarray]:
        """Return the mask of each structure, uint8 (h, w), 255 where it is."""
        if self.called is None:
            return {}
        return {name: self.called[..., number] * np.uint8(255) for number, name in enumerate(self.decoder.structures)}

    def cells(self) -> list[str]:
        """Return what the printed table shows."""
        return [_shown(area, mm2) for area, mm2 in zip(self.areas or (), self.mm2, strict=False)]

    def values(self) -> list[Cell]:
        """Return what the CSV holds: pixels and mm² of each structure."""
        areas = self.areas or (None,) * len(self.decoder.structures)
        each = zip(areas, self.mm2, strict=True)
        return [value for area, mm2 in each for value in (None if area is None else float(area), mm2)]

    def document(self) -> dict[str, Any]:
        """Return what the JSON holds: pixels of each structure, which share of the image that is, and mm²."""
        areas = self.areas or (None,) * len(self.decoder.structures)
        size = 1 if self.called is None else self.called[..., 0].size
        return {
            "structures": {
                name: {"pixels": area, "share": None if area is None else area / size, "mm2": mm2}
                for name, area, mm2 in zip(self.decoder.structures, areas, self.mm2, strict=True)
            }
        }

    def measurements(self) -> list[Measurement]:
        """Return the area of each structure, in mm² where it is known."""
        named = zip(self.decoder.structures, self.areas or (), self.mm2, strict=False)
        return [
            Measurement(f"area{number}", "Area", name, *((float(area), "{pixels}") if mm2 is None else (mm2, "mm2")))
            for number, (name, area, mm2) in enumerate(named, 1)
        ]


@dataclass(frozen=True)
class VolumeAnswer:
    """The structures of a volume.

    Attributes:
        labels: the number of each voxel's structure, from 1 on in the order of the decoder's, uint8 (slices, H, W);
            None of a volume that could not be read.
        voxel: its volume in ml.
    """

    decoder: MaskDecoder
    labels: np.ndarray | None
    voxel: float = 0.0

    @property
    def counts(self) -> tuple[int, ...] | None:
        """The voxels of each structure."""
        if self.labels is None:
            return None
        return tuple(np.bincount(self.labels.ravel(), minlength=len(self.decoder.structures) + 1)[1:].tolist())

    @property
    def millilitres(self) -> tuple[float | None, ...]:
        """The volume of each structure."""
        counts: Sequence[int | None] = self.counts or (None,) * len(self.decoder.structures)
        return tuple(None if count is None else count * self.voxel for count in counts)

    @property
    def decision(self) -> str | None:
        """The structures that are there."""
        return _decision(self.decoder, self.counts)

    def cells(self) -> list[str]:
        """Return what the printed table shows."""
        return [f"{value:.4g}" for value in self.millilitres if value is not None]

    def values(self) -> list[Cell]:
        """Return what the CSV holds: voxels and ml of each structure."""
        counts: Sequence[int | None] = self.counts or (None,) * len(self.decoder.structures)
        each = zip(counts, self.millilitres, strict=True)
        return [value for count, ml in each for value in (None if count is None else float(count), ml)]

    def document(self) -> dict[str, Any]:
        """Return what the JSON holds: voxels and ml of each structure."""
        counts: Sequence[int | None] = self.counts or (None,) * len(self.decoder.structures)
        named = zip(self.decoder.structures, counts, self.millilitres, strict=True)
        return {"structures": {name: {"voxels": count, "ml": ml} for name, count, ml in named}}

    def measurements(self) -> list[Measurement]:
        """Return the volume of each structure in ml."""
        named = zip(self.decoder.structures, self.millilitres, strict=True)
        return [
            Measurement(f"volume{number}", "Volume", name, ml, "ml")
            for number, (name, ml) in enumerate(named, 1)
            if ml is not None
        ]


def _shown(area: int, mm2: float | None) -> str:
    """Return an area for a person to read."""
    return f"{area}" + ("" if mm2 is None else f" ({mm2:.4g} mm²)")


def probabilities(outputs: Outputs) -> np.ndarray:
    """Return the probability of each structure at each pixel, float32 (N, h, w, M)."""
    found = np.clip(np.asarray(outputs[MASK], np.float32), -FURTHEST, FURTHEST)
    for step in (np.negative, np.exp):  # in place, as images may be large
        step(found, out=found)
    found += 1
    return np.reciprocal(found, out=found)


def levels_of(outputs: Outputs) -> np.ndarray:
    """Return the probabilities as levels, uint8 (N, h, w, M)."""
    found = probabilities(outputs)
    found *= HIGHEST
    return np.round(found, out=found).astype(np.uint8)


def logits_of(levels: np.ndarray) -> np.ndarray:
    """Return logits, float32, that `levels_of` makes these levels of again."""
    share = np.clip(levels.astype(np.float64) / HIGHEST, 0.1 / HIGHEST, 1 - 0.1 / HIGHEST)
    return np.log(share / (1 - share)).astype(np.float32)


def called(levels: np.ndarray, decoder: MaskDecoder, grown: float = 1.0) -> np.ndarray:
    """Return which pixels belong to which structure, bool (h, w, M), of the levels of one image, or (d, h, w, M).

    Args:
        grown: how many pixels here are one of the model's, which `smallest` counts.
    """
    return decoder.tidied(levels > np.asarray(decoder.thresholds, np.uint8), grown)


def _decode(outputs: Outputs, decoder: MaskDecoder) -> list[MaskAnswer]:
    return [MaskAnswer(decoder, called(levels, decoder)) for levels in levels_of(outputs)]


def place(
    outputs: Outputs, decoder: MaskDecoder, width: int, height: int, spacing: tuple[float, float] = (0.0, 0.0)
) -> MaskAnswer:
    """Return the answer for one image, at the size of its file: levels are enlarged bilinearly, then compared.

    Outputs that are as large as the file are taken as they are.

    Args:
        spacing: distances between the file's rows and between its columns in mm; 0: unknown.
    """
    (levels,) = levels_of(outputs)
    if levels.shape[:2] == (height, width):
        return MaskAnswer(decoder, called(levels, decoder), placed=True, pixel=math.prod(spacing))
    size = levels.shape[0]
    box = placement(width, height, size, decoder.aspect)
    planes = [to_file(levels[..., number], width, height, decoder.aspect) for number in range(levels.shape[-1])]
    grown = width * height / (box.width * box.height)
    return MaskAnswer(decoder, called(np.stack(planes, axis=-1), decoder, grown), placed=True, pixel=math.prod(spacing))


def of_volume(decoder: MaskDecoder, count: int, slices: Iterator[Slice]) -> VolumeAnswer:
    """Return the answer for a volume of `count` slices: of each, levels are enlarged and compared as of an image.

    A voxel that several structures call goes to the one whose level is furthest above its threshold.
    """
    labels, voxel, grown = np.zeros((0, 0, 0), np.uint8), 0.0, 1.0
    thresholds = np.asarray(decoder.thresholds, np.int16)
    for index, (outputs, width, height, spacing) in enumerate(slices):
        (levels,) = levels_of(outputs)
        if not index:
            box = placement(width, height, len(levels), decoder.aspect)
            voxel, grown = math.prod(spacing) / 1000, width * height / (box.width * box.height)
            labels = np.zeros((count, height, width), np.uint8)
        planes = [to_file(levels[..., number], width, height, decoder.aspect) for number in range(levels.shape[-1])]
        above = np.stack(planes, axis=-1).astype(np.int16) - thresholds
        labels[index] = np.where(above.max(axis=-1) > 0, above.argmax(axis=-1) + 1, 0)
    numbers = np.arange(1, len(decoder.structures) + 1, dtype=np.uint8)
    if decoder.tidies:
        labels = (decoder.tidied(labels[..., None] == numbers, grown) * numbers).max(axis=-1)
    return VolumeAnswer(decoder, labels, voxel)


def _labels(answer: VolumeAnswer) -> VolumeLabels:
    assert answer.labels is not None  # of a volume that was read
    return VolumeLabels(answer.labels, answer.decoder.structures)


def _blank(decoder: MaskDecoder) -> MaskAnswer | VolumeAnswer:
    return VolumeAnswer(decoder, None) if decoder.volumes else MaskAnswer(decoder, None)


def _header(decoder: MaskDecoder) -> Sequence[str]:
    return [f"{name} [{'ml' if decoder.volumes else 'px'}]" for name in decoder.structures]


def _columns(decoder: MaskDecoder) -> Sequence[str]:
    units = ("voxels", "ml") if decoder.volumes else ("pixels", "mm2")
    return [f"{name}_{unit}" for name in decoder.structures for unit in units]


def _in_words(decoder: MaskDecoder) -> list[tuple[str, str]]:
    return [("Comes out", f"masks of {', '.join(decoder.structures)}"), ("Called", "; ".join(rules(decoder)))]


SEGMENTATION = EdgeTask(
    decoder=MaskDecoder,
    widths=lambda decoder: {MASK: len(decoder.structures)},
    decode=_decode,
    blank=_blank,
    header=_header,
    columns=_columns,
    context=lambda decoder: {"unit": "voxels of the file" if decoder.volumes else "pixels of the file"},
    explained=lambda answer: (MASK, int(np.argmax(answer.areas))),
    in_words=_in_words,
    place=place,
    masks=MaskAnswer.masks,
    of_volume=of_volume,
    takes_volumes=lambda decoder: decoder.volumes,
    labels=_labels,
)

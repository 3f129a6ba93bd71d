"""What a scanner needs of a task: how a model's outputs become an answer, and how an answer is written. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

Outputs = Mapping[str, np.ndarray]  # of a model by name: float32, a row an image
Cell = str | float | None


def of_batches(found: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Return the outputs of all images, (N, …) by name, of those of one or more batches, (n, …)."""
    return {name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]}


class Measurement(NamedTuple):
    """A number of an answer: a code of at most 16 characters, what was measured, of what, and its UCUM unit."""

    code: str
    meaning: str
    subject: str
    value: float
    unit: str


class Slice(NamedTuple):
    """What a model puts out for one slice of a volume: outputs of one image, width and height of the slice in pixels,
    and the distances between slices, rows and columns in mm.
    """

    outputs: Outputs
    width: int
    height: int
    spacing: tuple[float, float, float]


@dataclass(frozen=True)
class OneScore:
    """The one number of an image by which a decoder decides, and the decoders that would decide by it otherwise.

    Attributes:
        names: what is decided below the threshold, and from it on.
        output: of the model, whose one column is the score; its targets are 1, 0 or −1, unknown.
        log_odds: from scores (N,) to calibrated log-odds of the second name, float64 (N,), finite.
        threshold: log-odds from which on it is decided.
        line: (a, b, threshold) → the decoder whose log-odds are a · those of now + b; a is above 0.
        aligned: (scores, log-odds, threshold) → the decoder that puts these scores (M,), rising, at these log-odds
            (M,), never falling, and what is between them between.
    """

    names: tuple[str, str]
    output: str
    log_odds: Callable[[np.ndarray], np.ndarray]
    threshold: float
    line: Callable[[float, float, float], Any]
    aligned: Callable[[np.ndarray, np.ndarray, float], Any]


class Answer(Protocol):
    """What a model says of one image."""

    @property
    def decision(self) -> str | None:
        """The answer in a word; None where there is none."""

    def cells(self) -> Sequence[str]:
        """Return the cells of the printed table, under `EdgeTask.header`."""

    def values(self) -> Sequence[Cell]:
        """Return the cells of the CSV, under `EdgeTask.columns`."""

    def document(self) -> dict[str, Any]:
        """Return the fields of the JSON."""

    def measurements(self) -> Sequence[Measurement]:
        """Return the numbers of a structured report."""


@dataclass(frozen=True)
class VolumeLabels:
    """The number of each voxel's structure from 1 on in the order of `structures`, 0 of none: uint8 (slices, H, W)."""

    voxels: np.ndarray
    structures: tuple[str, ...]


@dataclass(frozen=True)
class EdgeTask:
    """The NumPy half of a task, a row of `kmedtl.edge.tasks.EDGE_TASKS`; D is its decoder, a frozen dataclass.

    Attributes:
        decoder: D: what validation chose and the model file carries. Its field `kind` is the name of the task.
        widths: from a D to how many numbers an image has in each output of the model.
        decode: from outputs and a D to an answer for each image.
        blank: from a D to the answer for an image that cannot be read.
        header, columns: from a D to the header of the printed table and to the columns of the CSV.
        context: from a D to what the JSON of every answer says of how it was made.
        explained: from an answer to the output, and the column of it, that a heat map explains.
        place: from the outputs for one image, a D, width and height of its file in pixels, and the distances between
            its rows and columns in mm (0: unknown) to the answer, where that depends on them; None: it does not.
        masks: from an answer to the mask of each structure by name, uint8 (height, width) of 0 and 255; None: the task
            has none.
        of_volume: from a D, how many slices a volume has, and a `Slice` of each in order to the answer for the volume;
            None: the task answers images alone.
        takes_volumes: whether a D is of volumes; images are then no input of its model.
        labels: from the answer for a volume to what is written of it.
        one_score: from a D to the one score by which it decides; None: it decides by none, or by several, so that it
            cannot be adapted to another hospital.
        in_words: from a D to what a person should know of an answer: (heading, sentence), what comes out first.
    """

    decoder: type[Any]
    widths: Callable[[Any], dict[str, int]]
    decode: Callable[[Outputs, Any], list[Any]]
    blank: Callable[[Any], Any]
    header: Callable[[Any], Sequence[str]]
    columns: Callable[[Any], Sequence[str]]
    context: Callable[[Any], dict[str, Any]]
    explained: Callable[[Any], tuple[str, int]]
    in_words: Callable[[Any], Sequence[tuple[str, str]]]
    place: Callable[[Outputs, Any, int, int, tuple[float, float]], Any] | None = None
    masks: Callable[[Any], Mapping[str, np.ndarray]] | None = None
    of_volume: Callable[[Any, int, Iterator[Slice]], Any] | None = None
    takes_volumes: Callable[[Any], bool] = lambda decoder: False
    labels: Callable[[Any], VolumeLabels] | None = None
    one_score: Callable[[Any], OneScore | None] = lambda decoder: None

"""Which slices of a volume its answer rests on, and whether they are those that show what is marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.edge.pooling import ATTENTION
from kmedtl.edge.shapes import FEATURES
from kmedtl.explain.overlay import ExampleImage
from kmedtl.images.decode_masks import MaskedImage, decode_masks
from kmedtl.images.reading import Reading
from kmedtl.images.workers import Failure
from kmedtl.runs.answers import Answers
from kmedtl.statistics.confidence import Estimate, wilson


@dataclass(frozen=True)
class SlicePointing:
    """How often the slice that tells most of a volume's answer shows what its mask marks.

    Attributes:
        hits: the share of volumes, with its interval by patient.
        chance: what a slice drawn at random would reach.
        volumes: those with a mask that is not empty.
    """

    hits: Estimate
    chance: float
    volumes: int


@dataclass(frozen=True)
class ShownVolume:
    """A volume of the report's cases, a slice after another: where each lies in mm, its output and its share.

    Attributes:
        shares: how much each counts; None: the rule gives none.
        marked: bool (n,), whether a mask marks anything in it; None: there is no mask.
    """

    id: str
    caption: str
    places: np.ndarray
    outputs: np.ndarray
    shares: np.ndarray | None
    marked: np.ndarray | None


@dataclass(frozen=True)
class SliceAnswers:
    """What the slices of the test say.

    Attributes:
        table: a row a slice that has a say: `id` of its volume, `frame`, `position` in mm, the outputs, `share`, and
            `marked` (1 or 0; empty where no mask tells).
        shown: the volumes that the report explains.
        pointing: None where no mask marks anything.
    """

    table: pd.DataFrame
    shown: tuple[ShownVolume, ...]
    pointing: SlicePointing | None

    def document(self) -> dict[str, Any]:
        """Return what metrics.json holds."""
        return {"pointing": asdict(self.pointing)} if self.pointing else {}

    def lines(self) -> list[str]:
        """Return what a person reads in the terminal."""
        found = self.pointing
        of = f"; by chance {found.chance:.2f}, {found.volumes} volumes" if found else ""
        return [f"  The slice that tells most shows what is marked: {found.hits}{of}"] if found else []


def slices_of(test: Answers, tiles: Sequence[ExampleImage], reading: Reading) -> SliceAnswers | None:
    """Return what the slices of the test say; None where images are answered.

    Args:
        tiles: the cases of the report, of which the slices are shown.
        reading: how the model sees them; a mark that is too small to be seen so is none.
    """
    if not test.bags.rule:
        return None
    marked = _marked(test.table, reading)
    told = pd.Series(marked, dtype="float").where(marked >= 0)
    table = pd.DataFrame({"id": test.table["volume"], "frame": pd.to_numeric(test.table["frame"])})
    table = table.assign(position=pd.to_numeric(test.table["position"]), **_columns(test), marked=told.astype("Int8"))
    shown = tuple(_shown(test, tile, table, marked) for tile in tiles)
    return SliceAnswers(table.sort_values(["id", "frame"], ignore_index=True), shown, _pointing(test, marked))


def _columns(test: Answers) -> dict[str, np.ndarray]:
    """Return each output's numbers as columns, and how much a slice counts where the rule says so."""
    outputs = {name: found for name, found in test.outputs.items() if name not in (FEATURES, ATTENTION)}
    columns = {
        f"{name}_{number}" if found.shape[1] > 1 else name: found[:, number]
        for name, found in outputs.items()
        for number in range(found.shape[1])
    }
    return columns if test.shares is None else columns | {"share": test.shares}


def _marked(table: pd.DataFrame, reading: Reading) -> np.ndarray:
    """Return whether masks mark anything in each slice, int (N,): 1, 0, or −1 where there is none that can be read."""
    marked = np.full(len(table), -1)
    rows = np.flatnonzero(table["mask"] != "")
    rows = rows[np.argsort(table["volume"].iloc[rows], kind="stable")]  # slices of a volume are decoded together
    each = (table[name].iloc[rows].astype(str) for name in ("path", "mask", "frame"))
    asked = [MaskedImage(path, tuple(mask.split("|")), int(frame)) for path, mask, frame in zip(*each, strict=True)]
    answers = decode_masks(asked, {"target": "*"}, reading, "threshold") if asked else ()
    for row, answer in zip(rows, answers, strict=True):
        marked[row] = -1 if isinstance(answer, Failure) else answer.masks.planes.any()
    return marked


def _shown(test: Answers, tile: ExampleImage, table: pd.DataFrame, marked: np.ndarray) -> ShownVolume:
    rows = np.flatnonzero(test.table["volume"] == tile.id)
    rows = rows[np.argsort(test.bags.frames[rows])]
    return ShownVolume(
        tile.id,
        tile.case.caption,
        table["position"].to_numpy()[rows],
        test.outputs[tile.case.output][rows, tile.case.column],
        None if test.shares is None else test.shares[rows],
        None if (marked[rows] < 0).any() else marked[rows] == 1,
    )


def _pointing(test: Answers, marked: np.ndarray) -> SlicePointing | None:
    """Return how often the slice that tells most is marked: of several outputs by the last number of the first."""
    first = next(iter(test.examples.outputs))
    scores = test.telling(first, -1)
    rows = [each for each in test.bags.rows if (marked[each] == 1).any()]
    if not rows:
        return None
    hits = np.array([marked[each[scores[each].argmax()]] == 1 for each in rows])
    patients = test.table["patient"].to_numpy()[[each[0] for each in rows]]
    chance = float(np.mean([(marked[each] == 1).mean() for each in rows]))
    return SlicePointing(wilson(hits, patients), chance, len(rows))

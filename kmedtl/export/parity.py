"""Does the exported file answer as the model did? Each one runs over the test images in its own runtime."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmedtl.recipe import Gate
from kmedtl.statistics.confidence import Estimate, undefined
from kmedtl.system.titles import title
from kmedtl.tasks.task import Drift

QUANTIZED = ("int8", "dynamic")  # formats whose answers may move a little


@dataclass(frozen=True)
class Parity:
    """A file against the model in memory, on the same images, each with its own decoder.

    Attributes:
        megabytes: size on disk, 10^6 bytes.
        headline: name of the figure that `value` is, the file's, and `loss`, the model's minus the file's.
        drift: what else differs, of the task's `drift`: name → value.
        made: how the file was made, where there was a choice.
        failed_gates: what it differs in by more than its gate allows; a file without any keeps its word.
        runs: False of a file on which its runtime aborts: no figure of it is known, and it is not kept.
    """

    file: str
    megabytes: float
    headline: str
    value: float
    loss: Estimate
    drift: Mapping[str, float]
    made: str = ""
    failed_gates: tuple[str, ...] = ()
    runs: bool = True

    @property
    def cost(self) -> tuple[bool, int, float]:
        """What is compared of files of one model: whether it aborts, how many gates it misses, how far it moves."""
        return not self.runs, len(self.failed_gates), self.drift["mean_difference"]

    def document(self) -> dict[str, Any]:
        """Return the row as JSON holds it, the headline's figures by its name."""
        loss = f"{self.headline}_loss"
        return {
            "file": self.file,
            "megabytes": self.megabytes,
            self.headline: self.value,
            loss: self.loss.value,
            f"{loss}_low": self.loss.low,
            f"{loss}_high": self.loss.high,
            **self.drift,
            "made": self.made,
            "failed_gates": self.failed_gates,
        }


def parity(path: Path, headline: str, found: Drift) -> Parity:
    """Return the row of a file whose answers drifted so."""
    return Parity(path.name, size_of(path), headline, found.value, found.loss, found.figures)


def aborted(path: Path, headline: str, titles: Mapping[str, str]) -> Parity:
    """Return the row of a file on which its runtime aborts, and remove it.

    Args:
        titles: of the task's drift figures.
    """
    megabytes, reason = size_of(path), "LiteRT aborts on it, so it is not kept"
    path.unlink()
    loss = undefined(reason)
    drift = dict.fromkeys(titles, math.nan)
    return Parity(path.name, megabytes, headline, math.nan, loss, drift, failed_gates=(reason,), runs=False)


def failed_gates(row: Parity, format: str, gate: Gate, titles: Mapping[str, str]) -> tuple[str, ...]:
    """Return what a file of a format differs in by more than `gate` allows, in words.

    A loss whose interval reaches 0 is no miss: of few images an AUC moves by more than the limit through chance alone,
    and what a file does to each image is bounded by the other gates. Where there is no interval the value counts.

    Args:
        titles: of the task's drift figures.
    """
    if format in QUANTIZED:
        limits = {name: getattr(gate, name) for name in ("mean_difference", "flips", "dice_apart", "pixels_changed")}
        limits["loss"] = gate.auc_loss
        is_chance = row.loss.low <= 0
        checked = {} if is_chance else {f"{title(row.headline)} loss": (row.loss.value, gate.auc_loss)}
    else:
        limits = {"max_difference": gate.float16 if format == "float16" else gate.float32}
        checked = {}
    for name, value in row.drift.items():
        figure = name.rpartition(".")[2]  # before it stands the task, where there are several
        checked |= {titles[name]: (value, limits[figure])} if figure in limits else {}
    return tuple(f"{name} {value:.4g} > {limit:g}" for name, (value, limit) in checked.items() if value > limit)


def size_of(path: Path) -> float:
    """Return the size of a file or folder in 10^6 bytes."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6

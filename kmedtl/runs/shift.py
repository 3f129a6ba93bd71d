"""What a model loses elsewhere: its figures on corrupted test images, beside those on clean ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.data.corruptions import PLAUSIBLE, REFERENCE, SEVERITIES, suite
from kmedtl.edge.tasks.task import Outputs
from kmedtl.recipe import Evaluation
from kmedtl.statistics.confidence import Estimate
from kmedtl.system.progress import progress
from kmedtl.system.titles import title
from kmedtl.tasks import task_of
from kmedtl.tasks.task import Examples

CLEAN = "clean"


@dataclass(frozen=True)
class Row:
    """One corruption at one severity.

    Attributes:
        corruption: of `kmedtl.data.corruptions.suite`, or `CLEAN`.
        severity: 1 to 5; 0 of the clean images.
        meaning: what that severity is, in words.
        estimates: the task's figures with intervals by patient, by the run's own decoder.
        loss: the clean headline figure minus this one, with the interval of a paired comparison.
    """

    corruption: str
    severity: int
    meaning: str
    estimates: dict[str, Estimate]
    loss: Estimate


@dataclass(frozen=True)
class Shift:
    """A model under every corruption.

    Attributes:
        headline: the figure that is compared, a name of each row's estimates.
        images, patients: how many were judged.
        clean: the images as they are.
        rows: a corruption's severities follow each other.
        summarised: the severity that `mean_loss` and `worst` are of: `PLAUSIBLE`, or the largest where that was left
            out.
        mean_loss: of the headline figure, over the corruptions.
        left_out: corruptions that move places, where the task's masks would not follow.
        units: of the figures that have one.
    """

    headline: str
    images: int
    patients: int
    clean: Row
    rows: tuple[Row, ...]
    summarised: int
    mean_loss: Estimate
    left_out: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def headings(self) -> list[str]:
        """The names of each row's figures, with their units."""
        return [title(name, self.units.get(name, "")) for name in self.clean.estimates]

    @property
    def worst(self) -> Row | None:
        """The corruption that costs the most of the headline figure; None: none costs anything, or nobody can tell."""
        costly = [row for row in self.at(self.summarised) if row.loss.value > 0]
        return max(costly, key=lambda row: row.loss.value, default=None)

    def at(self, severity: int) -> list[Row]:
        return [row for row in self.rows if row.severity == severity]

    def table(self) -> pd.DataFrame:
        """Return a row a corruption and severity, the clean images first; `NAME_low` and `NAME_high` bound `NAME`.

        `NAME_unit` is there of figures that have one.
        """
        units = {f"{name}_unit": self.units[name] for name in self.clean.estimates if name in self.units}
        return pd.DataFrame([_flat(row, self.headline) for row in (self.clean, *self.rows)]).assign(**units)


def shift(
    model: Callable[[np.ndarray], Outputs],
    images: np.ndarray,
    test: Examples,
    decoder: Any,
    severities: Sequence[int] = SEVERITIES,
    seed: int = 0,
    reference: np.ndarray = REFERENCE,
) -> Shift:
    """Judge a model on `images` under every corruption.

    Args:
        model: from uint8 images (N, H, W, C) to outputs.
        images: uint8 (N, H, W, C).
        test: what is known of them; their outputs are those on clean images.
        decoder: the model's own, which makes answers of outputs.
        severities: of 1 to 5.
        seed: of what is random in a corruption.
        reference: where `histogram` goes; as `kmedtl.data.corruptions.quantiles_of` returns it.
    """
    task = task_of(decoder)
    question = task.question(decoder)

    def judged(name: str, severity: int, meaning: str, seen: Examples) -> Row:
        found = task.figures(question, Evaluation(), seen, decoder)
        shown = {figure: found.estimates[figure] for figure in task.brief if figure in found.estimates}
        return Row(name, severity, meaning, shown, task.gain(question, clean, [seen], decoder, decoder))

    clean = replace(test, outputs=model(images))
    summarised = PLAUSIBLE if PLAUSIBLE in severities else max(severities)
    rows, at_summarised = [], []
    kept = suite(reference, still=bool(task.moves))
    cases = [(name, corruption, severity) for name, corruption in kept.items() for severity in severities]
    for name, corruption, severity in progress(cases, "Corrupting", unit="severity"):
        seen = replace(test, outputs=model(corruption(images, severity, seed)))
        rows.append(judged(name, severity, corruption.at(severity), seen))
        at_summarised += [seen] if severity == summarised else []
    unchanged = judged(CLEAN, 0, "as they are", clean)
    return Shift(
        next(iter(unchanged.estimates)),
        len(test.ids),
        len(set(test.patients)),
        unchanged,
        tuple(rows),
        summarised,
        task.gain(question, clean, at_summarised, decoder, decoder),
        tuple(name for name in suite(reference) if name not in kept),
        task.units(question),
    )


def _flat(row: Row, headline: str) -> dict[str, Any]:
    cells = {"corruption": row.corruption, "severity": row.severity, "meaning": row.meaning}
    for name, estimate in (row.estimates | {f"{headline}_loss": row.loss}).items():
        cells |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return cells

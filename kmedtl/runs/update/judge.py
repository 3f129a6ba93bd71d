"""An update beside the run that it began with, on the same test images: old ones and new ones apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from kmedtl.data.manifest import Manifest
from kmedtl.data.pipeline import Pipeline
from kmedtl.edge import model_info
from kmedtl.edge.adaptation.lineage import sha256
from kmedtl.edge.updates import UpdateRecord
from kmedtl.export.runtimes import load_keras
from kmedtl.files.names import MODEL
from kmedtl.recipe import Recipe
from kmedtl.runs.answers import answers_of
from kmedtl.runs.update.gate import Change, Part, is_accepted
from kmedtl.runs.update.images import ids_of
from kmedtl.tasks import task_of
from kmedtl.tasks.task import Examples


@dataclass(frozen=True)
class Judged:
    """What an update was worth.

    Attributes:
        changes: on the run's own test, and on that of the new images.
        record: what model files say of it.
        before: the records of the updates before this one.
    """

    changes: Mapping[Part, Change]
    record: UpdateRecord
    before: tuple[UpdateRecord, ...]

    @property
    def lines(self) -> list[str]:
        """What a person reads of it."""
        word = "Accepted" if self.record.accepted else "REJECTED"
        return [f"Update of {self.record.run}: {word}", *(f"  {part} test: {it}" for part, it in self.changes.items())]

    def document(self) -> dict[str, Any]:
        """Return what metrics.json holds."""
        return {"accepted": self.record.accepted, **{part: it.document() for part, it in self.changes.items()}}


def judge(
    recipe: Recipe, question: Any, data: Mapping[str, Pipeline], manifest: Manifest, test: Examples, decoder: Any
) -> Judged:
    """Return what an update gained over its run on the run's test, and on the test of the new images.

    Args:
        data: of all splits.
        manifest: of old and new images.
        test: what the update answered for the test images.
        decoder: what makes answers of that.
    """
    run = Path(recipe.update.run)
    info, task = model_info.read(run), task_of(recipe.task)
    theirs = answers_of(load_keras(run / MODEL, info), data["test"], recipe).examples
    bounds, changes = {"old": -recipe.update.margin, "new": 0.0}, {}
    for part, (rows, lent) in _parts(run, data["test"], manifest).items():
        ours, others = (examples.of(np.flatnonzero(rows)) for examples in (test, theirs))
        after = task.figures(question, recipe.evaluation, ours, decoder)
        before = task.figures(question, recipe.evaluation, others, info.decoder)
        name = after.headline
        gain = task.gain(question, ours, [others], decoder, info.decoder)
        figures = before.estimates[name], after.estimates[name], gain
        changes[part] = Change(name, len(ours.ids), *figures, bounds[part], lent)
    trained_on_old = _is_of(run, data["train"], "train")
    record = UpdateRecord(
        parent=sha256(run / MODEL),
        run=run.name,
        date=datetime.now(UTC).date().isoformat(),
        source=manifest.source_name,
        images=int((~trained_on_old).sum()),
        replayed=int(trained_on_old.sum()),
        replay=recipe.update.replay,
        old=str(changes["old"]),
        new=str(changes["new"]),
        accepted=is_accepted(changes),
    )
    return Judged(changes, record, info.updated)


def _parts(run: Path, test: Pipeline, manifest: Manifest) -> dict[Part, tuple[np.ndarray, tuple[str, ...]]]:
    """Return which answers are of the run's own test and of that of new images, bool (N,), and what the latter borrows.

    Classes that no new image shows are borrowed from the run's test, as hardly a figure is there without them.
    """
    first = test.bags.first
    is_old = _is_of(run, test, "test")[first]
    members = {name: rows[first] for name, rows in manifest.members(test.table).items()}
    lent = {name: rows for name, rows in members.items() if not rows[~is_old].any() and rows.any()}
    return {"old": (is_old, ()), "new": (np.logical_or.reduce([~is_old, *lent.values()]), tuple(lent))}


def _is_of(run: Path, images: Pipeline, split: str) -> np.ndarray:
    """Return which images the run had in a split, bool (N,)."""
    return images.table["id"].isin(ids_of(run, split)).to_numpy()

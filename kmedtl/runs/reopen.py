"""A finished run, opened again: its model, and the test images that it was judged on, from where they came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from kmedtl.data import splits
from kmedtl.data.bags import name_of_bag
from kmedtl.data.pipeline import Pipeline
from kmedtl.data.tabular import field_input
from kmedtl.edge.predictor import Model
from kmedtl.errors import UserError
from kmedtl.runs.locate import MODEL, PREDICTIONS, RECIPE, located
from kmedtl.runs.open_model import open_model
from kmedtl.runs.predict import Images, Known, answers
from kmedtl.runs.prepare import prepare_images
from kmedtl.tasks.saved_run import SavedRun, read_run

__all__ = ["MODEL", "PREDICTIONS", "RECIPE", "FinishedRun", "open_run", "test_images"]


@dataclass(frozen=True)
class FinishedRun(SavedRun):
    """A run folder, and a model in it.

    Attributes:
        model: `model.keras`, or the exported file that was asked for.
    """

    model: Path

    def predict(self, images: Images, fields: Known = None) -> pd.DataFrame:
        """Return the model's answers to images, a row each; see `kmedtl.runs.predict.answers`."""
        return answers(self._opened, images, fields)

    @cached_property
    def _opened(self) -> Model:
        """The model, opened once for all that it is asked."""
        return open_model(self.model)


def open_run(path: str | Path) -> FinishedRun:
    """Open a run folder, or a model inside one.

    Raises:
        UserError: no run folder, a folder of folds, files that are not as a run wrote them, a model that is damaged.
    """
    folder, model = located(Path(path))
    saved = read_run(folder, model)
    return FinishedRun(folder, saved.recipe, saved.info, saved.predictions, saved.arrays, model)


def test_images(run: FinishedRun, limit: int | None, log: Callable[[str], None]) -> Pipeline:
    """Return the run's test images from its source, decoded as the run did, with the labels and patients it judged by.

    Args:
        limit: about so many of them, whole patients, each label by its share; None: all.
        log: receives what a person should know: test images that the source no longer has.

    Raises:
        UserError: a source that is gone, or that has none of them.
    """
    judged = run.predictions[run.predictions["split"] == "test"].set_index("id")[["patient"]]
    examples = run.examples("test")
    found, pooling = prepare_images(run.recipe), run.info.slices
    name = name_of_bag(pooling, bool(run.info.views))  # that an answer goes by
    table = found.table[found.table[name].isin(judged.index)].assign(split="test")
    absent = judged.index.difference(pd.Index(table[name]))
    if len(absent):
        missing = f"{len(absent)} of the run's {len(judged)} test images, first: {absent[0]}"
        if len(table) < 2:
            raise UserError(
                f"{run.recipe.data.source}: has no longer {missing}. Put them back, or use the KMEDTL_SALT of the run, "
                "from which the names of DICOM files follow."
            )
        log(f"Note: {run.recipe.data.source} has no longer {missing}; the others are judged.")
    if limit:
        table = splits.limit(table, limit, run.recipe.seed)
    table = table.drop(columns="patient").join(judged, on=name).sort_values("record", ignore_index=True)
    targets = examples.in_order_of(table[name]).targets
    fields = field_input(run.info.fields, table) if run.info.fields else None
    batch = run.recipe.data.batch_size
    return Pipeline(found.store, table, targets, batch, fields=fields, pooling=pooling, views=run.info.views)

"""The images of a run, divided into training, validation and test."""

from __future__ import annotations

import pandas as pd

from kmedtl.audit.audit import Audit
from kmedtl.data import splits
from kmedtl.data.manifest import SPLITS, Manifest
from kmedtl.data.pipeline import UNLABELLED, Pipeline, pipelines
from kmedtl.data.pseudonyms import hide_patients
from kmedtl.data.tabular import DROPPED, FieldInput, field_input, learned_fields
from kmedtl.recipe import Recipe
from kmedtl.runs.prepare import Prepared
from kmedtl.runs.result import SYNTHETIC
from kmedtl.runs.unlabelled import check_left, pipeline_of
from kmedtl.runs.volumes import pooling_of
from kmedtl.system.printable import shown
from kmedtl.system.text_tables import shortened
from kmedtl.tasks import task_of

MOST_COUNTED = 3  # classes of a split, counted on one line of a terminal


def divided(recipe: Recipe, data: Prepared, table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Pipeline]]:
    """Return the table of what is used, patients hidden, and a pipeline a split; images without labels have theirs.

    Raises:
        UserError: splits that the task can't learn from, be judged by or keep the evaluation's settings with; no image
            without a label that may be learned from.
    """
    if recipe.data.train_limit:
        table = splits.limit_training(table, recipe.data.train_limit, recipe.seed)
    if not (recipe.data.keep_ids or data.manifest.synthetic):
        table = hide_patients(table)  # last, so that no choice depends on the salt
    assert data.targets is not None  # as of everything that a run prepares
    task = task_of(recipe.task)
    fields = learned_fields(recipe.tabular, table[table["split"] == "train"])

    def beside(part: pd.DataFrame, split: str) -> FieldInput:
        return field_input(fields, part, DROPPED if split == "train" else 0.0)

    parts = pipelines(
        data.store, table, recipe.data.batch_size, data.targets.of, task.moves, beside if fields else None,
        pooling_of(recipe, table), tuple(recipe.data.views),
    )  # fmt: skip
    targets = {split: part.bags.known(part.targets) for split, part in parts.items()}
    task.check(data.question, targets)
    patients = parts["val"].bags.table(parts["val"].table)["patient"].to_numpy(object)
    task.check_validation(data.question, recipe.evaluation, targets["val"], patients)
    if data.unlabelled:
        check_left(data.unlabelled, table)
        parts[UNLABELLED] = pipeline_of(data.unlabelled, table, parts["train"])
    return table, parts


def describe(audit: Audit, manifest: Manifest, data: dict[str, Pipeline]) -> str:
    """Return how many patients and images of each class a split has, and the notes of the audit, in lines."""
    lines = [f"Data: {audit.source}, {audit.used} of {audit.listed + audit.set_aside} images"]
    lines += [SYNTHETIC] if audit.synthetic else []
    for split in SPLITS:
        table = data[split].table
        counted = [f"{rows.sum()} {shortened(name, 28)}" for name, rows in manifest.members(table).items()]
        more = f" and {len(counted) - MOST_COUNTED} more classes" if len(counted) > MOST_COUNTED else ""
        counts = f": {', '.join(counted[:MOST_COUNTED])}{more}" if counted else ""
        lines.append(f"  {split:<5} {table['patient'].nunique():>5} patients, {len(table):>5} images{counts}")
    return "\n".join(map(shown, lines + [f"  Note: {warning}" for warning in audit.warnings]))

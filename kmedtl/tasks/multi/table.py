"""The answers of several tasks as columns of one table and arrays beside it, and back."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.edge.tasks.multi import MultiDecoder, joined, part_of
from kmedtl.edge.tasks.task import Outputs
from kmedtl.errors import UserError
from kmedtl.files.csv_tables import write_csv
from kmedtl.tasks.multi.parts import Tasks, known_to, merged, prefixed, spread, spread_arrays, spread_table
from kmedtl.tasks.multi.question import MultiQuestion
from kmedtl.tasks.tables import judged_rows
from kmedtl.tasks.task import Arrays, Examples, TableEvaluation, TableSettings, Targets


def columns_of(tasks: Tasks, question: MultiQuestion, examples: Examples, decoder: MultiDecoder) -> pd.DataFrame:
    """Return the columns of each task, `TASK.COLUMN`, empty for images of which it knows nothing."""
    parts = []
    for name, task in tasks.items():
        rows, own = known_to(name, examples)
        table = task.table(question.tasks[name], own, decoder.tasks[name])
        parts.append(spread_table(table, rows, len(examples.ids)).add_prefix(joined(name, "")))
    return pd.concat(parts, axis=1)


def arrays_of(tasks: Tasks, question: MultiQuestion, examples: Examples) -> dict[str, np.ndarray]:
    """Return the arrays of each task, `TASK.ARRAY`, 0 for images of which it knows nothing."""
    parts = {}
    for name, task in tasks.items():
        rows, own = known_to(name, examples)
        parts[name] = spread_arrays(task.arrays(question.tasks[name], own), rows, len(examples.ids))
    return merged(parts)


def read(tasks: Tasks, question: MultiQuestion, table: pd.DataFrame, arrays: Arrays) -> tuple[Targets, Outputs]:
    """Return targets and outputs of what `columns_of` and `arrays_of` returned.

    Raises:
        KeyError, ValueError, IndexError: they are not as these made them.
    """
    targets: dict[str, np.ndarray] = {}
    outputs: dict[str, np.ndarray] = {}
    for name, task in tasks.items():
        own = _own_rows(name, table)
        rows = np.flatnonzero(table.index.isin(own.index))
        known, answered = task.read(question.tasks[name], own, part_of(name, arrays))
        targets |= prefixed(name, spread(known, rows, len(table)))
        outputs |= prefixed(name, spread_arrays(answered, rows, len(table)))
    return targets, outputs


def _own_rows(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return a task's columns under its own names, of the rows of which it knows something.

    Raises:
        KeyError: it has none.
    """
    columns = part_of(name, {str(column): column for column in table})
    if not columns:
        raise KeyError(joined(name, ""))
    own = table[list(columns.values())].set_axis(list(columns), axis=1)
    return own[~(own.isna() | (own == "")).all(axis=1)]


def evaluate_table(tasks: Tasks, path: Path, run: dict[str, Any], settings: TableSettings) -> TableEvaluation:
    """Judge the predictions of a run, each task's columns as a table of its own.

    Raises:
        UserError: a table of no run; what a task refuses.
    """
    table = judged_rows(path, settings, "answers to several tasks")
    shared = table[[column for column in table if "." not in str(column)]]
    found, lines = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for name, task in tasks.items():
            try:
                own = _own_rows(name, table)
            except KeyError:
                raise UserError(f"{path}: expected columns {name}.… of the task '{name}'; it has none.") from None
            write_csv(pd.concat([shared.loc[own.index], own], axis=1), Path(folder) / path.name)
            found[name] = task.evaluate_table(Path(folder) / path.name, run["tasks"][name], settings)
            lines += ["", f"{name}: {found[name].images} images", *found[name].lines]
    estimates = merged({name: one.figures.estimates for name, one in found.items()})
    test = {name: vars(estimate) for name, estimate in estimates.items()}
    notes = [f"{name}: {note}" for name, one in found.items() for note in one.document.get("notes", ())]
    document = {"notes": notes, "tasks": {name: one.document for name, one in found.items()}, "test": test}
    patients = table["patient"].nunique()
    return TableEvaluation(SimpleNamespace(estimates=estimates), len(table), patients, document, lines)

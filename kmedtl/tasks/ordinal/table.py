"""Grades as columns of a table: those of a run, and of whatever model, judged. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.data.manifest import are_numbers
from kmedtl.edge.tasks.ordinal import FEWEST, GRADE, GradeDecoder, of_grades, width
from kmedtl.edge.tasks.task import Outputs
from kmedtl.errors import UserError
from kmedtl.tasks.ordinal.figures import Graded, by_group, evaluation_of, graded
from kmedtl.tasks.ordinal.question import GradeQuestion
from kmedtl.tasks.summary import estimate_lines
from kmedtl.tasks.tables import judged_rows, with_manifest
from kmedtl.tasks.task import Arrays, Examples, TableEvaluation, TableSettings, Targets

PREDICTION, PROBABILITY, OUTPUT = "prediction", "probability_", "output_"
TRUTH, PREDICTED = (GRADE, "truth", "y_true", "label", "target", "true"), (PREDICTION, "predicted", "y_pred")
PATIENT = ("patient", "patient_id", "patientid", "subject", "subject_id")
MOST = 100  # grades; more are numbers of something else
OFF = 1e-3  # up to which probabilities of an image may add up to something else than 1


def columns_of(question: GradeQuestion, examples: Examples, decoder: GradeDecoder) -> pd.DataFrame:
    """Return the true grade and the decided one by name, the probability of each, and the network's own outputs."""
    found, names = graded(examples, decoder), np.array(question.grades, object)
    likely = dict(zip((PROBABILITY + name for name in question.grades), of_grades(found.above).T, strict=True))
    outputs = dict(zip(_outputs(question), examples.outputs[GRADE].T, strict=True))
    return pd.DataFrame({GRADE: names[found.truth], PREDICTION: names[found.decided], **likely, **outputs})


def read(question: GradeQuestion, table: pd.DataFrame, arrays: Arrays) -> tuple[Targets, Outputs]:
    """Return targets and outputs of the columns that `columns_of` wrote.

    Raises:
        KeyError, ValueError: they are not as it wrote them.
    """
    outputs = table[_outputs(question)].to_numpy(np.float64)
    numbers = _numbers(table[GRADE], question.grades).to_numpy(np.float64)
    if not (np.isfinite(outputs).all() and np.isfinite(numbers).all()):
        raise ValueError("a grade or an output that cannot be")
    return {GRADE: numbers[:, None].astype(np.float32)}, {GRADE: outputs}


def wrote(columns: Sequence[str]) -> bool:
    """Tell whether columns are those of a run: two grades, probabilities and outputs."""
    return {GRADE, PREDICTION, f"{OUTPUT}1"} <= set(columns)


def evaluate_table(path: Path, run: dict[str, Any], settings: TableSettings) -> TableEvaluation:
    """Judge a CSV with `grade` and `prediction`, and a column `probability_GRADE` of each where they are known.

    The grades in their order are those of the run, else of the columns of probabilities, else numbers; the referable
    one is that of the run, else the middle one.

    Raises:
        UserError: no such file, a table without those columns, grades whose order is not known, cells that are none of
            them, or a setting that asks for classes.
    """
    table = judged_rows(path, settings, "grades")
    names = list(map(str, table))
    truth, predicted = (_cells(table, names, path) for names in (TRUTH, PREDICTED))
    grades = _grades(table, pd.concat([truth, predicted]), run, path)
    first = run.get("decoder", {}).get("referable", grades[len(grades) // 2])
    numbers = [_checked(cells, grades, path) for cells in (truth, predicted)]
    patient = next((name for name in names if name.lower() in PATIENT), "")
    patients = table[patient].to_numpy(object) if patient else np.arange(len(table)).astype(str)
    judged = Graded(grades, grades.index(first), numbers[0], numbers[1], _above(table, grades, path), patients)
    notes = [f"Referable: from grade {first} on."]
    if settings.manifest:
        ids = table["id"] if "id" in table else table.index.astype(str)
        table, more = with_manifest(list(ids), table, settings.manifest)
        notes += more
    for column in settings.groups:
        if column not in table:
            raise UserError(f"{path}: no column '{column}' to judge by. Found: {', '.join(map(str, table))}.")
    found, parts = evaluation_of(judged), by_group(judged, table, settings.groups)
    document = {
        "notes": notes,
        "grades": list(grades),
        "test": {name: asdict(one) for name, one in found.estimates.items()},
        "confusion": found.tables["confusion"].to_numpy().tolist(),
        "groups": {name: {key: asdict(one) for key, one in part.items()} for name, part in parts.items()},
    }
    lines = [*estimate_lines(found, 0.0), *group_lines(parts)]
    return TableEvaluation(found, found.images, found.patients, document, lines)


def group_lines(parts: dict[str, Any]) -> list[str]:
    """Return a line a group."""
    return [f"  {name}: kappa {part['kappa']}, mean absolute error {part['mae']}" for name, part in parts.items()]


def _outputs(question: GradeQuestion) -> list[str]:
    return [f"{OUTPUT}{number + 1}" for number in range(width(question.loss, len(question.grades)))]


def _cells(table: pd.DataFrame, names: tuple[str, ...], path: Path) -> pd.Series:
    name = next((own for wanted in names for own in map(str, table) if own.lower() == wanted), None)
    if name is None:
        raise UserError(f"{path}: expected the columns {GRADE} and {PREDICTION}. Found: {', '.join(map(str, table))}.")
    return table[name].astype(str).str.strip()


def _grades(table: pd.DataFrame, cells: pd.Series, run: dict[str, Any], path: Path) -> tuple[str, ...]:
    """Return the names of the grades in their order."""
    told = run.get("decoder", {}).get("grades") or [
        name.removeprefix(PROBABILITY) for name in map(str, table) if name.startswith(PROBABILITY)
    ]
    if not told and not are_numbers(cells):
        named = next(cell for cell in cells if not are_numbers([cell]))
        raise UserError(
            f"{path}: {GRADE}: expected whole numbers, or a run folder, which knows the order of its grades. "
            f"Received: '{named}'."
        )
    if told:
        return tuple(told)
    lowest, highest = (pick(map(int, cells)) for pick in (min, max))
    if not FEWEST <= highest - lowest + 1 <= MOST:
        raise UserError(f"{path}: {GRADE}: expected {FEWEST} to {MOST} grades. Received: {lowest} to {highest}.")
    return tuple(map(str, range(lowest, highest + 1)))


def _numbers(cells: pd.Series, grades: Sequence[str]) -> pd.Series:
    """Return the number of each cell's grade, NaN where it is none; a table may have made numbers of their names."""
    texts = cells.astype(str).str.strip()
    found = texts.map({name: number for number, name in enumerate(grades)})
    if not are_numbers(grades):
        return found
    by_value = {float(name): number for number, name in enumerate(grades)}
    return found.fillna(pd.to_numeric(texts, errors="coerce").map(by_value))


def _checked(cells: pd.Series, grades: Sequence[str], path: Path) -> np.ndarray:
    numbers = _numbers(cells, grades)
    if numbers.isna().any():
        wrong = cells[numbers.isna()].iloc[0]
        raise UserError(f"{path}: {GRADE}: expected one of {', '.join(grades)} in each row. Received: '{wrong}'.")
    return numbers.to_numpy(int)


def _above(table: pd.DataFrame, grades: Sequence[str], path: Path) -> np.ndarray:
    """Return the probabilities of lying above each cut, (N, K − 1); NaN where those of the grades are not all told."""
    names = [PROBABILITY + grade for grade in grades]
    if not set(names) <= set(table):
        return np.full((len(table), len(grades) - 1), np.nan)
    likely = table[names].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    wrong = ~(np.abs(likely.sum(axis=1) - 1) < OFF) | (likely < -OFF).any(axis=1)
    if wrong.any():
        received = ", ".join(map(str, table[names].iloc[int(np.flatnonzero(wrong)[0])]))
        raise UserError(f"{path}: {PROBABILITY}…: expected numbers in each row that add up to 1. Received: {received}.")
    # Rounded, so that sums of what was written do not tell apart what was equal.
    return np.round(np.cumsum(likely[:, ::-1], axis=1)[:, ::-1][:, 1:], 12)

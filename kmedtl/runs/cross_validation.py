"""What the folds of a cross-validation say together: every image is judged once, by the model that never saw it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kmedtl import recipe as recipes
from kmedtl.files.json_files import write_json
from kmedtl.recipe import Recipe
from kmedtl.report import folds as folds_page
from kmedtl.runs.environment import when
from kmedtl.runs.result import Result, closing, marking
from kmedtl.system.text_tables import aligned
from kmedtl.system.titles import title
from kmedtl.tasks import task_of
from kmedtl.tasks.predictions import write_predictions
from kmedtl.tasks.summary import estimate_lines
from kmedtl.tasks.task import Arrays, Evaluation, Examples


@dataclass(frozen=True)
class CrossValidation:
    """The folds, and their tests judged as one.

    Attributes:
        folds: name → what that fold found.
        predictions: of all tests: as of a run, with `fold` and what each fold's decoder says; outputs are such that the
            folds can be compared.
        arrays: what the task keeps of them that is no column.
        units: of the figures that have one.
        evaluation: of all tests together.
        environment: of `kmedtl.runs.environment.environment`, from when the first fold's data were read.
    """

    recipe: Recipe
    folds: Mapping[str, Result]
    predictions: pd.DataFrame
    evaluation: Evaluation
    environment: dict[str, Any]
    arrays: Arrays = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def synthetic(self) -> bool:
        return any(result.audit.synthetic for result in self.folds.values())


def pool(
    folds: Mapping[str, Result], tests: Mapping[str, Examples], recipe: Recipe, environment: dict[str, Any]
) -> CrossValidation:
    """Judge the tests of all folds together; each answer was made by its own fold's decoder.

    Args:
        tests: name of the fold → its test.
    """
    first, task = next(iter(folds.values())), task_of(recipe.task)
    each = [(tests[name], result.fit.decoder) for name, result in folds.items()]
    evaluation, columns = task.pool(first.question, recipe.evaluation, each)
    known = pd.concat([result.test.assign(fold=name) for name, result in folds.items()], ignore_index=True)
    kept = known.drop(columns=[name for name in columns if name in known])
    arrays = {
        name: np.concatenate([result.arrays[name][result.test.index] for result in folds.values()])
        for name in first.arrays
    }
    predictions, units = pd.concat([kept, columns], axis=1), task.units(first.question)
    return CrossValidation(recipe, folds, predictions, evaluation, environment, arrays, units)


def write(pooled: CrossValidation, folder: Path) -> None:
    """Write recipe, predictions, metrics and report beside the folders of the folds."""
    recipes.write(pooled.recipe, folder / "recipe.yaml")
    write_predictions(pooled.predictions, pooled.arrays, folder)
    write_json(folder / "environment.json", pooled.environment)
    write_json(folder / "metrics.json", _metrics(pooled))
    tests = {name: result.evaluation for name, result in pooled.folds.items()}
    task, made = task_of(pooled.recipe.task), when(pooled.environment)
    folds_page.write(pooled.recipe, task, tests, pooled.evaluation, pooled.synthetic, made, folder, pooled.units)


def summary(pooled: CrossValidation, folder: Path) -> str:
    """Return the lines that a person reads in the terminal when the folds are done."""
    evaluation, headline = pooled.evaluation, pooled.evaluation.headline
    rows = [
        [name, str(one.patients), str(one.images), str(one.estimates[headline])]
        for name, one in ((name, result.evaluation) for name, result in pooled.folds.items())
    ]
    counted = f"{evaluation.images} images of {evaluation.patients} patients"
    return "\n".join(
        [
            "",
            f"{len(pooled.folds)} folds pooled: {counted}, each in one test",
            *estimate_lines(evaluation, task_of(pooled.recipe.task).chance, pooled.units),
            "",
            *aligned([["Fold", "Patients", "Images", title(headline, pooled.units.get(headline, ""))], *rows]),
            *closing(folder, pooled.synthetic),
        ]
    )


def _metrics(pooled: CrossValidation) -> dict[str, Any]:
    return {
        **marking(pooled.synthetic),
        "task": pooled.recipe.task.kind,
        "headline": pooled.evaluation.headline,
        "classes": list(next(iter(pooled.folds.values())).manifest.classes),
        "units": dict(pooled.units),
        "pooled": _figures(pooled.evaluation),
        "folds": {name: _figures(result.evaluation) for name, result in pooled.folds.items()},
    }


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "images": evaluation.images,
        "patients": evaluation.patients,
        **{name: asdict(estimate) for name, estimate in evaluation.estimates.items()},
        "by": {
            part: {name: asdict(estimate) for name, estimate in estimates.items()}
            for part, estimates in evaluation.by.items()
        },
    }

"""What the folds of a cross-validation say together: every image is judged once, by the model that never saw it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kmedtl import recipe as recipes
from kmedtl.edge.tasks.classification.labels import columns
from kmedtl.files.csv_tables import write_csv
from kmedtl.recipe import Recipe
from kmedtl.report import folds as folds_page
from kmedtl.report.content import when
from kmedtl.runs import run_folder
from kmedtl.runs.environment import Start, environment
from kmedtl.runs.result import Result, closing, marking
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions
from kmedtl.tasks.classification.metrics import Metrics, measure
from kmedtl.tasks.classification.prediction_table import answers_of
from kmedtl.tasks.classification.summary import aligned, no_better_than_chance, title


@dataclass(frozen=True)
class CrossValidation:
    """The folds, and their tests judged as one.

    Attributes:
        folds: name → what that fold found.
        predictions: of all tests: as of a run, with `fold` and `threshold`, the fold's own operating point; logits are
            those of the calibrated probabilities, so that the folds can be compared.
        answers, metrics: of all tests together.
        start: when the first fold's data were read.
    """

    recipe: Recipe
    folds: Mapping[str, Result]
    predictions: pd.DataFrame
    answers: LabelledPredictions
    metrics: Metrics
    start: Start

    @property
    def synthetic(self) -> bool:
        return any(result.audit.synthetic for result in self.folds.values())


def pool(folds: Mapping[str, Result], recipe: Recipe, start: Start) -> CrossValidation:
    """Judge the tests of all folds together; each decision was taken at its own fold's operating point."""
    tests = pd.concat([_calibrated(name, result) for name, result in folds.items()], ignore_index=True)
    manifest = next(iter(folds.values())).manifest
    answers = answers_of(tests, manifest, split="test")
    logits = dict(zip(columns("logit", manifest.kind, manifest.findings), answers.logits.T, strict=True))
    metrics = measure(answers, recipe.evaluation.ordered)
    return CrossValidation(recipe, folds, tests.assign(**logits), answers, metrics, start)


def _calibrated(fold: str, result: Result) -> pd.DataFrame:
    """Return a fold's test with its operating point and without its logits, which mean the same in no other fold."""
    info = result.info
    logits, thresholds = (columns(what, info.kind, info.findings) for what in ("logit", "threshold"))
    points = dict(zip(thresholds, info.thresholds, strict=False))
    return result.test.drop(columns=logits).assign(fold=fold, **points)


def write(pooled: CrossValidation, folder: Path) -> None:
    """Write recipe, predictions, metrics and report beside the folders of the folds."""
    recipes.write(pooled.recipe, folder / "recipe.yaml")
    write_csv(pooled.predictions, folder / "predictions.csv")
    made_on = environment(pooled.start)
    run_folder.write_json(folder / "environment.json", made_on)
    run_folder.write_json(folder / "metrics.json", _metrics(pooled))
    tests = {name: result.metrics for name, result in pooled.folds.items()}
    folds_page.write(pooled.recipe, tests, pooled.answers, pooled.metrics, pooled.synthetic, when(made_on), folder)


def summary(pooled: CrossValidation, folder: Path) -> str:
    """Return the lines that a person reads in the terminal when the folds are done."""
    metrics = pooled.metrics
    lines = [
        "",
        f"{len(pooled.folds)} folds pooled: {metrics.count} images of {metrics.patients} patients, each in one test",
    ]
    lines += [f"  {title(name):<18} {estimate}" for name, estimate in metrics.estimates.items()]
    area = next(iter(metrics.estimates))  # the AUC, or of several findings the mean
    chance = no_better_than_chance(metrics.estimates, metrics.patients)
    lines += [f"  {chance}"] if chance else []
    rows = [
        [name, str(result.metrics.patients), str(result.metrics.count), str(result.metrics.estimates[area])]
        for name, result in pooled.folds.items()
    ]
    lines += ["", *aligned([["Fold", "Patients", "Images", title(area)], *rows])]
    return "\n".join([*lines, *closing(folder, pooled.synthetic)])


def _metrics(pooled: CrossValidation) -> dict:
    return {
        **marking(pooled.synthetic),
        "kind": pooled.answers.kind,
        "classes": list(pooled.answers.classes),
        "pooled": pooled.metrics.to_dict(),
        "folds": {name: result.metrics.to_dict() for name, result in pooled.folds.items()},
    }

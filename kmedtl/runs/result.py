"""The result of a run, and how it is written: to the terminal, to files, to the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from kmedtl import recipe as recipes
from kmedtl.audit.audit import Audit
from kmedtl.data import manifest as manifests
from kmedtl.data.contact_sheet import Sample
from kmedtl.data.manifest import Manifest
from kmedtl.edge import model_info
from kmedtl.edge.model_info import ModelInfo
from kmedtl.explain.overlay import ExampleImage
from kmedtl.export.parity import Parity
from kmedtl.files.csv_tables import write_csv
from kmedtl.files.digits import in_digits
from kmedtl.files.json_files import write_json
from kmedtl.finetune.checkpoint import Checkpoint
from kmedtl.recipe import Recipe
from kmedtl.report import card, page
from kmedtl.runs.ablation import Ablation
from kmedtl.runs.alone import Alone
from kmedtl.runs.environment import when
from kmedtl.runs.slices import SliceAnswers
from kmedtl.runs.update.judge import Judged
from kmedtl.runs.views import ViewAblation
from kmedtl.statistics.confidence import Estimate, wilson
from kmedtl.system.printable import shown
from kmedtl.system.text_tables import aligned
from kmedtl.system.titles import title
from kmedtl.tasks import task_of
from kmedtl.tasks.predictions import write_predictions
from kmedtl.tasks.task import Arrays, Evaluation, Fit, Task

SYNTHETIC = "SYNTHETIC IMAGES: these figures say nothing about patients."


@dataclass(frozen=True)
class Result:
    """Everything that a run found; the page and the model card tell nothing else.

    Attributes:
        question: what was asked, as the data answered the recipe's `task`.
        manifest: the images used, with their splits.
        trained: how the model was fine-tuned; None where a classifier was fitted to its features.
        predictions: of validation and test: `id`, `patient`, `split`, the task's columns, groups, `unlike_training`.
        arrays: what the task keeps of them that is no column, a row an image.
        fit: what validation chose.
        evaluation: of the test.
        parity: a row an exported file.
        start: when the run began.
        tiles: test images with what the model looked at.
        samples: training images as the model saw them.
        environment: of `kmedtl.runs.environment.environment`.
        audit_page: where the audit is, seen from the report.
        alone: of several tasks: name → what it reaches alone.
        update: what an update gained over its run; None: it is none.
        ablation: what image and fields reach without each other; None: there were no fields.
        slices: what the slices of the test's volumes say; None: images were answered.
        views: what each view of the test's examinations adds; None: images were answered by themselves.
    """

    recipe: Recipe
    question: Any
    manifest: Manifest
    audit: Audit
    trained: Checkpoint | None
    predictions: pd.DataFrame
    info: ModelInfo
    fit: Fit
    evaluation: Evaluation
    parity: tuple[Parity, ...]
    tiles: tuple[ExampleImage, ...]
    samples: tuple[Sample, ...]
    environment: dict[str, Any]
    audit_page: str = "audit.html"
    arrays: Arrays = field(default_factory=dict)
    alone: Mapping[str, Alone] = field(default_factory=dict)
    ablation: Ablation | None = None
    update: Judged | None = None
    slices: SliceAnswers | None = None
    views: ViewAblation | None = None

    @property
    def task(self) -> Task:
        return task_of(self.recipe.task)

    @property
    def when(self) -> str:
        return when(self.environment)

    @property
    def test(self) -> pd.DataFrame:
        return self.predictions[self.predictions["split"] == "test"]

    @property
    def unlike_training(self) -> Estimate:
        """The share of the test images that count as of another kind; 1 in 100 of validation does."""
        return wilson(self.test["unlike_training"].to_numpy() == 1, self.test["patient"].to_numpy())


def write(result: Result, folder: Path) -> None:
    """Write tables, metrics, plots, report and model card into a folder that already holds the models."""
    recipes.write(result.recipe, folder / "recipe.yaml")
    manifests.write(result.manifest, folder / "manifest.csv")
    history = result.trained.history if result.trained else []
    write_csv(pd.DataFrame([epoch.row() for epoch in history]), folder / "history.csv")
    write_predictions(result.predictions, result.arrays, folder)
    if result.slices:
        write_csv(result.slices.table, folder / "slices.csv")
    write_json(folder / "metrics.json", _metrics(result))
    write_json(folder / "environment.json", result.environment)
    model_info.attach(result.info, folder)
    page.write(result, folder)
    card.write(result, folder)


def summary(result: Result, folder: Path) -> str:
    """Return the lines that a person reads in the terminal when the run is done."""
    evaluation, task = result.evaluation, result.task
    lines = [
        "",
        f"Test set: {evaluation.images} images of {evaluation.patients} patients; 95 % intervals in brackets",
        *task.lines(result.recipe.evaluation, result.fit, evaluation),
        *(f"  {name} asked alone: {one}" for name, one in result.alone.items()),
        *(f"  {name} alone: {one}" for name, one in (result.ablation.alone.items() if result.ablation else ())),
        *(result.views.lines() if result.views else ()),
        *(result.slices.lines() if result.slices else ()),
        f"  Flagged as unlike the training images: {result.unlike_training}",
        *(["", *result.update.lines] if result.update else []),
        "",
        *aligned(
            [
                ["File", "MB", title(evaluation.headline), *task.drift_titles.values()],
                *(_file_cells(row, task) for row in result.parity),
            ]
        ),
        *(f"{row.file} misses its gate: {'; '.join(row.failed_gates)}" for row in result.parity if row.failed_gates),
    ]
    return "\n".join(map(shown, [*lines, *closing(folder, result.audit.synthetic)]))


def _file_cells(row: Parity, task: Task) -> list[str]:
    drift = [page.drift_cell(name, row.drift[name]) for name in task.drift_titles]
    return [row.file, f"{row.megabytes:.1f}", in_digits(row.value, 4), *drift]


def closing(folder: Path, synthetic: bool) -> list[str]:
    """Return the last lines that a person reads in the terminal."""
    return [
        "",
        *([SYNTHETIC] if synthetic else []),
        "Research software; no clinical use is claimed.",
        f"Run folder: {folder}",
        f"Report:     {folder / 'report.html'}",
    ]


def marking(synthetic: bool) -> dict:
    """Return how metrics.json says whether its figures are of synthetic images."""
    return {"synthetic": synthetic, **({"notice": SYNTHETIC} if synthetic else {})}


def _metrics(result: Result) -> dict[str, Any]:
    return {
        **marking(result.audit.synthetic),
        "task": result.recipe.task.kind,
        "headline": result.evaluation.headline,
        **result.task.document(result.fit, result.evaluation),
        **({"alone": {name: one.document() for name, one in result.alone.items()}} if result.alone else {}),
        **({"update": result.update.document()} if result.update else {}),
        **({"tabular": result.ablation.document()} if result.ablation else {}),
        **({"views": result.views.document()} if result.views else {}),
        **({"slices": result.slices.document()} if result.slices else {}),
        "unlike_training": asdict(result.unlike_training),
        "parity": [row.document() for row in result.parity],
    }

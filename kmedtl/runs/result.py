"""What a run found, and how it is told: to the terminal, to files, to the report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from kmedtl import recipe as recipes
from kmedtl.audit.audit import Audit
from kmedtl.data import manifest as manifests
from kmedtl.data.contact_sheet import Sample
from kmedtl.data.manifest import Manifest
from kmedtl.edge import model_info
from kmedtl.edge.model_info import ModelInfo
from kmedtl.evaluate.confidence import Estimate, wilson
from kmedtl.explain.overlay import ExampleImage
from kmedtl.export.parity import Parity
from kmedtl.files.csv_tables import write_csv
from kmedtl.files.digits import in_digits
from kmedtl.finetune.checkpoint import Checkpoint
from kmedtl.recipe import Recipe
from kmedtl.report import card, page
from kmedtl.report.content import Report
from kmedtl.runs import run_folder
from kmedtl.runs.environment import Start, environment
from kmedtl.system.printable import shown
from kmedtl.tasks.classification import evaluation as judgements
from kmedtl.tasks.classification import summary as summaries
from kmedtl.tasks.classification.evaluation import Judgement, Settled
from kmedtl.tasks.classification.metrics import Metrics
from kmedtl.tasks.classification.prediction_table import answers_of

SYNTHETIC = "SYNTHETIC IMAGES: these figures say nothing about patients."


@dataclass(frozen=True)
class Result:
    """Everything that a run found.

    Attributes:
        manifest: the images used, with their splits.
        trained: how the model was fine-tuned; None where a classifier was fitted to its features.
        predictions: of validation and test, see `kmedtl.tasks.classification.prediction_table`.
        settled: what validation chose.
        judgement: what the test said.
        parity: a row an exported file.
        start: when the run began.
        tiles: test images with what the model looked at.
        samples: training images as the model saw them.
    """

    recipe: Recipe
    manifest: Manifest
    audit: Audit
    trained: Checkpoint | None
    predictions: pd.DataFrame
    info: ModelInfo
    settled: Settled
    judgement: Judgement
    parity: tuple[Parity, ...]
    start: Start
    tiles: tuple[ExampleImage, ...] = ()
    samples: tuple[Sample, ...] = ()

    @property
    def test(self) -> pd.DataFrame:
        return self.predictions[self.predictions["split"] == "test"]

    @property
    def unlike_training(self) -> Estimate:
        """The share of the test images that count as of another kind; 1 in 100 of validation does."""
        return wilson(self.test["unlike_training"].to_numpy() == 1, self.test["patient"].to_numpy())

    @property
    def metrics(self) -> Metrics:
        return self.judgement.metrics


def write(result: Result, folder: Path) -> None:
    """Write tables, metrics, plots, report and model card into a folder that already holds the models."""
    recipes.write(result.recipe, folder / "recipe.yaml")
    manifests.write(result.manifest, folder / "manifest.csv")
    history = pd.DataFrame([asdict(epoch) for epoch in (result.trained.history if result.trained else [])])
    write_csv(history, folder / "history.csv")
    write_csv(result.predictions, folder / "predictions.csv")
    run_folder.write_json(folder / "metrics.json", _metrics(result))
    made_on = environment(result.start)
    run_folder.write_json(folder / "environment.json", made_on)
    model_info.attach(result.info, folder)
    report = Report(
        recipe=result.recipe,
        manifest=result.manifest,
        audit=result.audit,
        trained=result.trained,
        test=answers_of(result.predictions, result.manifest, "test", result.settled.thresholds),
        info=result.info,
        settled=result.settled,
        judgement=result.judgement,
        parity=result.parity,
        environment=made_on,
        tiles=result.tiles,
        samples=result.samples,
        audit_page="audit.html" if (folder / "audit.html").is_file() else "../audit.html",
    )
    page.write(report, folder)
    card.write(report, folder)


def summary(result: Result, folder: Path) -> str:
    """Return the lines that a person reads in the terminal when the run is done."""
    metrics = result.metrics
    lines = [
        "",
        f"Test set: {metrics.count} images of {metrics.patients} patients; 95 % intervals in brackets",
    ]
    lines += summaries.lines(metrics)
    lines += [
        f"  Operating point: {finding} from probability {in_digits(point.threshold)} on ({point.rule}), "
        "chosen on validation"
        for finding, point in zip(result.info.findings, result.settled.points, strict=False)
    ]
    lines += [
        f"  Calibration: {_calibrated(result)}",
        f"  Flagged as unlike the training images: {result.unlike_training}",
        *summaries.group_lines(result.judgement.groups),
    ]
    lines += [
        "",
        f"{'File':<22} {'MB':>6} {'AUC':>7} {'max |Δp|':>9} {'decisions changed':>18}",
    ]
    lines += [
        f"{row.file:<22} {row.megabytes:>6.1f} {in_digits(row.auc, 4):>7} {row.max_difference:>9.1e} {row.flips:>18.1%}"
        for row in result.parity
    ]
    lines += [f"{row.file} misses its gate: {'; '.join(row.failed_gates)}" for row in result.parity if row.failed_gates]
    return "\n".join(map(shown, [*lines, *closing(folder, result.audit.synthetic)]))


def _calibrated(result: Result) -> str:
    before, after = result.judgement.before["ece"], result.judgement.after["ece"]
    how = "chosen" if result.recipe.evaluation.calibration == "auto" else "fitted"
    return f"{result.settled.calibration.method}, {how} on validation; ECE {before.value:.3f} before, {after} after"


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


def _metrics(result: Result) -> dict:
    return {
        **marking(result.audit.synthetic),
        "classes": list(result.manifest.classes),
        **judgements.to_dict(result.settled, result.judgement),
        "unlike_training": asdict(result.unlike_training),
        "parity": [asdict(row) for row in result.parity],
    }

"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kmedtl.audit.audit import Audit
from kmedtl.data.contact_sheet import Sample
from kmedtl.data.manifest import Manifest
from kmedtl.edge.model_info import ModelInfo
from kmedtl.evaluate.confidence import Estimate
from kmedtl.explain.overlay import ExampleImage
from kmedtl.export.parity import Parity
from kmedtl.files.digits import in_time
from kmedtl.finetune.checkpoint import Checkpoint
from kmedtl.recipe import Recipe
from kmedtl.tasks.classification.evaluation import Judgement, Settled
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions
from kmedtl.tasks.classification.metrics import Metrics


@dataclass(frozen=True)
class Report:
    """Everything that the page and the model card tell.

    Attributes:
        manifest: the images used, with their splits.
        trained: how the model was fine-tuned; None where a classifier was fitted to its features.
        test: its answers, decided at the operating points of `settled`.
        parity: a row an exported file.
        environment: of `kmedtl.runs.environment.environment`; it knows date and duration.
        audit_page: where the audit is, seen from the report.
        tiles: images with what the model looked at.
        samples: training images as the model saw them.
    """

    recipe: Recipe
    manifest: Manifest
    audit: Audit
    trained: Checkpoint | None
    test: LabelledPredictions
    info: ModelInfo
    settled: Settled
    judgement: Judgement
    parity: tuple[Parity, ...]
    environment: Mapping[str, Any]
    audit_page: str = "audit.html"
    tiles: tuple[ExampleImage, ...] = ()
    samples: tuple[Sample, ...] = ()

    @property
    def metrics(self) -> Metrics:
        return self.judgement.metrics

    @property
    def when(self) -> str:
        return when(self.environment)

    @property
    def by_finding(self) -> dict[str, dict[str, Estimate]]:
        """The figures of each finding, or of each class against the rest."""
        return self.metrics.by_finding or {self.test.findings[0]: self.metrics.estimates}


def when(environment: Mapping[str, Any]) -> str:
    """Return a run's date and duration as a person reads them."""
    day, _, time = environment["began"].partition("T")
    part = " since it was resumed" if environment["resumed"] else ""
    return f"{day} {time[:5]}, in {in_time(environment['seconds'])}{part}"

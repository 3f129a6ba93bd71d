"""The question of a classification: which classes there are, and whether they exclude each other."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from kmedtl.data.manifest import Manifest, labelled_by
from kmedtl.edge.tasks.classification.labels import LabelKind, findings_of
from kmedtl.errors import UserError
from kmedtl.recipe import Classification, Data
from kmedtl.tasks.task import KnownTargets


@dataclass(frozen=True)
class ClassQuestion:
    """What is asked of an image: `labels` as of `Classification`, and the names of the classes, the finding last."""

    labels: LabelKind
    classes: tuple[str, ...]

    @property
    def findings(self) -> tuple[str, ...]:
        """What has a logit."""
        return findings_of(self.labels, self.classes)


def ask(settings: Classification, data: Data, manifest: Manifest) -> tuple[ClassQuestion, Manifest]:
    """Return the question that the labels answer, and the images that have one: of the source's labels all.

    Raises:
        UserError: no labels, a column that is not there, or others than the recipe declares.
    """
    if settings.target:
        manifest = labelled_by(manifest, settings.target, "task.target")
    if not manifest.classes:
        raise UserError(f"{manifest.source}: no labels to train on; give class folders, or --labels with a table.")
    labels: LabelKind = "multi_class"
    if manifest.multi_label:
        labels = "multi_label"
    elif len(manifest.classes) == 2:
        labels = "binary"
    if settings.labels not in ("auto", labels):
        named = ", ".join(manifest.classes[:6])
        raise UserError(
            f"task.labels: expected labels that are {settings.labels}. {manifest.source}: they are {labels} ({named}); "
            "set task.labels=auto, or data.classes."
        )
    return ClassQuestion(labels, manifest.classes), manifest


def targets(question: ClassQuestion, data: Data, manifest: Manifest, table: pd.DataFrame) -> KnownTargets:
    """Return what gives float32 (N, findings) for the output `logits`: 1, 0 or `UNKNOWN`."""
    return KnownTargets(lambda part: {"logits": manifest.targets(part)})

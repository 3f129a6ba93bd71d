"""A table of predictions, of whatever model, judged. Imports no TensorFlow."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kmedtl.errors import UserError
from kmedtl.tasks.classification import summary
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions, read
from kmedtl.tasks.classification.metrics import measure
from kmedtl.tasks.classification.subgroups import subgroups
from kmedtl.tasks.tables import with_manifest
from kmedtl.tasks.task import TableEvaluation, TableSettings


def evaluate_table(path: Path, run: dict[str, Any], settings: TableSettings) -> TableEvaluation:
    """Judge a CSV; a run's at its own operating point and by its own names, unless the settings differ.

    Raises:
        UserError: no such file, or a table that cannot be judged.
    """
    found = _read(path, run, settings)
    if settings.ordered and found.kind != "multi_class":
        raise UserError(f"--ordered: expected several classes, one an image. {path}: {found.kind}.")
    if settings.manifest:
        columns, notes = with_manifest(found.ids.tolist(), found.groups, settings.manifest)
        found = replace(found, groups=columns, notes=(*found.notes, *notes))
    metrics, groups = measure(found, settings.ordered), subgroups(found, settings.groups)
    document = {
        "labels": found.kind,
        "classes": found.classes,
        "notes": found.notes,
        "test": metrics.to_dict(),
        "subgroups": [asdict(group) for group in groups],
    }
    lines = [*summary.lines(metrics), *summary.group_lines(groups)]
    return TableEvaluation(metrics, metrics.count, metrics.patients, document, lines)


def _read(path: Path, run: dict[str, Any], settings: TableSettings) -> LabelledPredictions:
    point = run.get("operating_point", {})
    own = point.get("threshold") or point.get("shares")
    threshold = own if settings.threshold is None else settings.threshold
    found = read(path, settings.split, threshold, settings.finding)
    if found.kind == "binary" and found.classes == ("0", "1") and len(run.get("classes", ())) == 2:
        return replace(found, classes=tuple(run["classes"]), findings=tuple(run["classes"][1:]))
    return found

"""`kmedtl evaluate`: a table of predictions, of whatever model, judged. Imports no TensorFlow."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kmedtl.errors import UserError
from kmedtl.runs import run_folder
from kmedtl.system.progress import progress
from kmedtl.tasks.classification import summary
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions, read
from kmedtl.tasks.classification.metrics import Metrics, measure
from kmedtl.tasks.classification.subgroups import Group, subgroups


def command(options: argparse.Namespace) -> int:
    run = _run(options.predictions)
    with progress(total=2, title="Reading") as bar:
        answers = _answers(options, run)
        if options.ordered and answers.kind != "multi_class":
            raise UserError(
                f"--ordered: expected several classes, one an image. {options.predictions}: {answers.kind}."
            )
        bar.set_description("Judging")
        bar.update()
        metrics = measure(answers, options.ordered)
    groups = subgroups(answers, options.groups)
    document = _document(options, run, answers, metrics, groups)
    if options.out:
        final = run_folder.choose(options.out, "evaluate")
        with run_folder.building(final) as folder:
            run_folder.write_json(folder / "metrics.json", document)
    print(run_folder.to_json(document) if options.json else _told(options, document, metrics, groups), end="")
    return 0


def _run(path: Path) -> dict[str, Any]:
    """Return the metrics.json of a run folder; of a file: nothing."""
    if not path.is_dir():
        return {}
    for name in ("predictions.csv", "metrics.json"):
        if not (path / name).is_file():
            raise UserError(f"{path}: expected a CSV of predictions or a run folder; {path / name} is not there.")
    try:
        return dict(json.loads((path / "metrics.json").read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise UserError(f"{path / 'metrics.json'}: not as a run wrote it; give its predictions.csv instead.") from None


def _answers(options: argparse.Namespace, run: dict[str, Any]) -> LabelledPredictions:
    """Read the predictions; a run's at its own operating point and by its own names, unless the options differ."""
    path = options.predictions / "predictions.csv" if run else options.predictions
    chosen = run.get("operating_point", {}).get("threshold")
    threshold = chosen if options.threshold is None else options.threshold
    answers = read(path, options.split, threshold, options.finding)
    if answers.kind == "binary" and answers.classes == ("0", "1") and len(run.get("classes", ())) == 2:
        return replace(answers, classes=tuple(run["classes"]), findings=tuple(run["classes"][1:]))
    return answers


def _document(
    options: argparse.Namespace,
    run: dict[str, Any],
    answers: LabelledPredictions,
    metrics: Metrics,
    groups: tuple[Group, ...],
) -> dict[str, Any]:
    marking = {name: run[name] for name in ("synthetic", "notice") if name in run}
    return {
        **marking,
        "source": str(options.predictions),
        "task": "classification",
        "labels": answers.kind,
        "classes": answers.classes,
        "notes": answers.notes,
        "test": metrics.to_dict(),
        "subgroups": [asdict(group) for group in groups],
    }


def _told(options: argparse.Namespace, document: dict[str, Any], metrics: Metrics, groups: tuple[Group, ...]) -> str:
    counted = f"{metrics.count} images of {metrics.patients} patients"
    lines = [
        f"{options.predictions}: {counted}; 95 % intervals in brackets",
        *summary.lines(metrics),
        *summary.group_lines(groups),
        *(f"  Note: {note}" for note in document["notes"]),
        *([document["notice"]] if "notice" in document else []),
        *([f"Figures: {options.out / 'metrics.json'}"] if options.out else []),
    ]
    return "\n".join(lines) + "\n"

"""`kmedtl evaluate`: a table of predictions, of whatever model, judged. Imports no TensorFlow."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmedtl.commands.options import names

if TYPE_CHECKING:
    from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions
    from kmedtl.tasks.classification.metrics import Metrics
    from kmedtl.tasks.classification.subgroups import Group

HELP = "judge a table of predictions, of any model, with intervals"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("predictions", type=Path, help="a CSV with a row an image, or a run folder")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder for metrics.json")
    parser.add_argument("--split", default="test", help="rows to judge where there is a column 'split' (default: test)")
    parser.add_argument(
        "--threshold", type=_probability, metavar="T", help="a finding is called from this probability on"
    )
    parser.add_argument("--finding", default="", metavar="NAME", help="of two names under 'label', what is looked for")
    parser.add_argument("--groups", type=names, default=[], metavar="COLUMNS", help="judge by these, as sex,age")
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="a table with further columns, joined by 'id'")
    parser.add_argument("--ordered", action="store_true", help="the classes are grades, in order: add weighted kappas")
    parser.add_argument("--json", action="store_true", help="print JSON")


def command(options: argparse.Namespace) -> int:
    from kmedtl.runs import evaluate_table, run_folder
    from kmedtl.system.progress import progress
    from kmedtl.tasks.classification.metrics import measure
    from kmedtl.tasks.classification.subgroups import subgroups

    path = options.predictions
    run = evaluate_table.written_metrics(path)
    with progress(total=2, title="Reading") as bar:
        answers = evaluate_table.answers_of_table(path, run, options.split, options.threshold, options.finding)
        evaluate_table.check_ordered(answers, options.ordered, path)
        if options.manifest:
            answers = evaluate_table.with_manifest(answers, options.manifest)
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


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a probability from 0 to 1. Received: {text!r}")
    return value


def _document(
    options: argparse.Namespace,
    run: dict[str, Any],
    answers: LabelledPredictions,
    metrics: Metrics,
    groups: tuple[Group, ...],
) -> dict[str, Any]:
    marking: dict[str, Any] = {name: run[name] for name in ("synthetic", "notice") if name in run}
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
    from kmedtl.tasks.classification import summary

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

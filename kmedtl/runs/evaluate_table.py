"""A table of predictions, of whatever model, judged: what `kmedtl evaluate` prints and `kmedtl.evaluate` returns.

Imports no TensorFlow.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from kmedtl.data.delimited import read_text_table
from kmedtl.errors import UserError
from kmedtl.tasks.classification.foreign_tables import ALIASES
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions, Threshold, read
from kmedtl.tasks.classification.metrics import Metrics, measure

KEYS = ("id", *ALIASES["id"])  # columns of a manifest that name its images


def evaluate(
    table: str | Path, split: str = "test", threshold: Threshold = None, finding: str = "", ordered: bool = False
) -> Metrics:
    """Return the figures of a CSV of predictions or of a run folder, each with its interval.

    Args:
        split: rows that count, where there is a column `split`; empty: all.
        threshold: a finding is called from this probability on; None: a run's own operating point, else 0.5.
        finding: of two names under `label`, what is looked for.
        ordered: the classes are grades, in order: add weighted kappas.

    Raises:
        UserError: no such file, or a table that cannot be judged.
    """
    path = Path(table)
    answers = answers_of_table(path, written_metrics(path), split, threshold, finding)
    check_ordered(answers, ordered, path)
    return measure(answers, ordered)


def written_metrics(path: Path) -> dict[str, Any]:
    """Return the metrics.json of a run folder; of a file: nothing.

    Raises:
        UserError: a folder that is no run.
    """
    if not path.is_dir():
        return {}
    for name in ("predictions.csv", "metrics.json"):
        if not (path / name).is_file():
            raise UserError(f"{path}: expected a CSV of predictions or a run folder; {path / name} is not there.")
    try:
        return dict(json.loads((path / "metrics.json").read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise UserError(f"{path / 'metrics.json'}: not as a run wrote it; give its predictions.csv instead.") from None


def answers_of_table(
    path: Path, run: dict[str, Any], split: str, threshold: Threshold, finding: str
) -> LabelledPredictions:
    """Read predictions; a run's at its own operating point and by its own names, unless the arguments differ.

    Args:
        run: what `written_metrics` returns.

    Raises:
        UserError: a table that cannot be judged, or a run of another task.
    """
    task = run.get("task", "classification")
    if task != "classification":
        raise UserError(
            f"{path}: expected the run of a classification. Received: {task}; its figures are in "
            f"{path / 'metrics.json'}, and kmedtl compare sets runs beside each other."
        )
    chosen = run.get("operating_point", {}).get("threshold")
    table = path / "predictions.csv" if run else path
    answers = read(table, split, chosen if threshold is None else threshold, finding)
    if answers.kind == "binary" and answers.classes == ("0", "1") and len(run.get("classes", ())) == 2:
        return replace(answers, classes=tuple(run["classes"]), findings=tuple(run["classes"][1:]))
    return answers


def check_ordered(answers: LabelledPredictions, ordered: bool, path: Path) -> None:
    """Refuse an order of classes where there are none.

    Raises:
        UserError: `ordered`, and another question than that of several classes.
    """
    if ordered and answers.kind != "multi_class":
        raise UserError(f"--ordered: expected several classes, one an image. {path}: {answers.kind}.")


def with_manifest(answers: LabelledPredictions, manifest: Path) -> LabelledPredictions:
    """Return predictions with the columns of a manifest, by the images' ids; a column that is there already stays.

    Raises:
        UserError: a manifest that cannot be read, names no images, one twice, or none of the predictions'.
    """
    listed = read_text_table(manifest)
    lower = {name.lower(): name for name in listed.columns}
    key = next((lower[name] for name in KEYS if name in lower), None)
    if key is None:
        raise UserError(
            f"{manifest}: expected a column 'id' with the ids of the predictions. Found: {', '.join(listed.columns)}."
        )
    table = pd.DataFrame(listed.rows, columns=list(listed.columns))
    twice = table.loc[table[key].duplicated(), key]
    if len(twice):
        raise UserError(f"{manifest}: {key} '{twice.iloc[0]}' is in two rows; remove one.")
    known = table.set_index(key)
    there = pd.Index(answers.ids).isin(known.index)
    if not there.any():
        raise UserError(
            f"{manifest}: {key}: has none of the predictions' ids, such as '{answers.ids[0]}'. Received: "
            f"'{table[key].iloc[0] if len(table) else ''}'; name the images alike in both."
        )
    new = known.reindex(answers.ids, fill_value="").reset_index(drop=True)
    groups = answers.groups.join(new[[name for name in new if name not in answers.groups]])
    absent = int((~there).sum())
    notes = [f"{absent} of {len(there)} images are not in {manifest.name}; its columns are empty for them."]
    return replace(answers, groups=groups, notes=(*answers.notes, *(notes if absent else [])))

"""A table of predictions, of whatever model, judged: what `kmedtl evaluate` prints and `kmedtl.evaluate` returns.

Imports no TensorFlow.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kmedtl.data.delimited import first_cells
from kmedtl.errors import UserError, nearest
from kmedtl.tasks import TASKS, task_named
from kmedtl.tasks.task import TableEvaluation, TableSettings

DEFAULT = next(iter(TASKS))  # of a table that says nothing of its task


def evaluate(
    table: str | Path,
    split: str = "test",
    threshold: float | None = None,
    finding: str = "",
    ordered: bool = False,
    task: str = "",
) -> Any:
    """Return the figures of a CSV of predictions or of a run folder, each with its interval, as `estimates`.

    Args:
        split: rows that count, where there is a column `split`; empty: all.
        threshold: a finding is called from this probability on; None: a run's own operating point, else 0.5.
        finding: of two names under `label`, what is looked for.
        ordered: the classes are grades, in order: add weighted kappas.
        task: what the table answers; empty: as the run or its columns say, else a classification.

    Raises:
        UserError: no such file, or a table that cannot be judged.
    """
    return judge(Path(table), TableSettings(split, threshold, finding, ordered), task)[0].figures


def judge(path: Path, settings: TableSettings, task: str = "") -> tuple[TableEvaluation, dict[str, Any]]:
    """Return what a table of predictions, or that of a run folder, says, and the document that metrics.json holds."""
    run = written_metrics(path)
    name = task or run.get("task") or _by_columns(path)
    try:
        row = task_named(name, run)
    except (KeyError, TypeError):
        raise UserError(f"--task {name}: no such task. {nearest(str(name), TASKS)}") from None
    found = row.evaluate_table(path / "predictions.csv" if run else path, run, settings)
    marking: dict[str, Any] = {key: run[key] for key in ("synthetic", "notice") if key in run}
    return found, {**marking, "source": str(path), "task": name, **found.document}


def _by_columns(path: Path) -> str:
    """Return the task whose run wrote a table of such columns."""
    columns = first_cells(path)
    return next((name for name, task in TASKS.items() if task.wrote(columns)), DEFAULT)


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

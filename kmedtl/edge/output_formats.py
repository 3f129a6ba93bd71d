"""Predictions as text: a table to read, JSON, JSON lines as they come, or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields

from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.predictor import Prediction
from kmedtl.edge.tasks.classification.labels import columns
from kmedtl.system.printable import cell, shown, shown_json

Writer = Callable[[Iterable[Prediction], ModelInfo | None], Iterator[str]]
_ON_REQUEST = ("logits", "explanation", "dicom_report")  # left out of JSON where there is none


def _table(predictions: Iterable[Prediction], info: ModelInfo | None) -> Iterator[str]:
    findings = info.findings if info else ()
    header = ["IMAGE", *(f"P({finding})" for finding in findings), f"DECISION ({_rule(info)})" if info else "LOGITS"]
    header = [shown(name) for name in header]
    rows = [
        [shown(row.image), *(f"{value:.4f}" for value in row.probabilities.values()), shown(_outcome(row))]
        for row in predictions
    ]
    answered = [header, *(row for row in rows if len(row) == len(header))]
    widths = [max(map(len, column)) for column in zip(*answered, strict=True)]
    widths[0] = max(len(row[0]) for row in [header, *rows])
    for row in [header, *rows]:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() + "\n"


def _outcome(row: Prediction) -> str:
    if row.error:
        return row.error
    if row.logits is not None:
        return "  ".join(f"{value:.4f}" for value in row.logits)
    marked = f"  (UNLIKE THE TRAINING IMAGES: score {row.unlike_training:.2f})" if row.out_of_distribution else ""
    return f"{row.decision}{marked}"


def _rule(info: ModelInfo) -> str:
    if not info.thresholds:
        return "the most probable"
    rules = zip(info.findings, info.thresholds, strict=True)
    return "; ".join(f"{finding} from {threshold:.4f} on" for finding, threshold in rules)


def _json(predictions: Iterable[Prediction], info: ModelInfo | None) -> Iterator[str]:
    yield shown_json(json.dumps([_document(row, info) for row in predictions], indent=2, ensure_ascii=False)) + "\n"


def _json_lines(predictions: Iterable[Prediction], info: ModelInfo | None) -> Iterator[str]:
    for row in predictions:
        yield shown_json(json.dumps(_document(row, info), ensure_ascii=False)) + "\n"


def _document(row: Prediction, info: ModelInfo | None) -> dict[str, object]:
    values = {field.name: getattr(row, field.name) for field in fields(Prediction)}
    told = {name: value for name, value in values.items() if name not in _ON_REQUEST or value is not None}
    if info:
        told |= {"thresholds": dict(zip(info.findings, info.thresholds, strict=False)), "synthetic": info.synthetic}
    return told


def _csv(predictions: Iterable[Prediction], info: ModelInfo | None) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    findings = info.findings if info else ()
    names = columns("probability", info.kind, findings) if info else ["logits"]
    writer.writerow(map(cell, ["image", *names, "decision", "error", "unlike_training", "out_of_distribution"]))
    yield _taken(text)
    for row in predictions:
        values = [row.probabilities.get(finding) for finding in findings] if info else [_plain(row.logits)]
        told = [row.image, *values, row.decision, row.error, row.unlike_training, row.out_of_distribution]
        bare = any("\r" in value for value in told if isinstance(value, str))  # which the writer does not quote
        (quoting if bare else writer).writerow(map(cell, told))
        yield _taken(text)


def _plain(logits: tuple[float, ...] | None) -> str:
    return " ".join(map(str, logits or ()))


def _taken(text: io.StringIO) -> str:
    """Return what was written, and forget it."""
    written = text.getvalue()
    text.seek(0)
    text.truncate()
    return written


WRITERS: dict[str, Writer] = {"table": _table, "json": _json, "jsonl": _json_lines, "csv": _csv}

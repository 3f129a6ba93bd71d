"""Predictions as text: a table to read, JSON, JSON lines as they come, or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.predictor import Prediction
from kmedtl.system.printable import cell, shown, shown_json

Writer = Callable[[Iterable[Prediction], ModelInfo | None], Iterator[str]]
GAPS = ("fields_missing", "fields_unseen")  # of models that take fields beside the image
# Left out of JSON where there is none.
ON_REQUEST = ("outputs", "explanation", "masks", "dicom_seg", "dicom_report", *GAPS, "views_missing")


def gaps_of(info: ModelInfo | None) -> tuple[str, ...]:
    """Return the columns that say what was missing beside, or among, the images of a model."""
    if info is None:
        return ()
    return (*(GAPS if info.fields else ()), *(("views_missing",) if info.views else ()))


def _table(predictions: Iterable[Prediction], info: ModelInfo | None) -> Iterator[str]:
    header = ["IMAGE", *(info.task.header(info.decoder) if info else ["OUTPUTS"])]
    header = [shown(name) for name in header]
    rows = [[shown(cell) for cell in (row.image, *_cells(row))] for row in predictions]
    answered = [header, *(row for row in rows if len(row) == len(header))]
    widths = [max(map(len, column)) for column in zip(*answered, strict=True)]
    widths[0] = max(len(row[0]) for row in [header, *rows])
    for row in [header, *rows]:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() + "\n"


def _cells(row: Prediction) -> list[str]:
    if row.error or row.answer is None:
        return [row.error or "  ".join(f"{value:.4f}" for value in row.outputs or ())]
    *cells, last = row.answer.cells()
    marked = f"  (UNLIKE THE TRAINING IMAGES: score {row.unlike_training:.2f})" if row.out_of_distribution else ""
    return [*cells, f"{last}{marked}{_gaps(row)}"]


def _gaps(row: Prediction) -> str:
    """Return in words which fields say nothing of the image, and which views are missing."""
    told = {
        "missing": row.fields_missing,
        "never seen in training": row.fields_unseen,
        "no image of": row.views_missing,
    }
    parts = [f"{what}: {', '.join(names)}" for what, names in told.items() if names]
    return f"  ({'; '.join(parts)})" if parts else ""


def _json(predictions: Iterable[Prediction], info: ModelInfo | None) -> Iterator[str]:
    yield shown_json(json.dumps([_document(row, info) for row in predictions], indent=2, ensure_ascii=False)) + "\n"


def _json_lines(predictions: Iterable[Prediction], info: ModelInfo | None) -> Iterator[str]:
    for row in predictions:
        when = {"time": datetime.now(UTC).isoformat(timespec="seconds")}  # of the answer: `kmedtl drift` shows it
        yield shown_json(json.dumps(_document(row, info) | when, ensure_ascii=False)) + "\n"


def _document(row: Prediction, info: ModelInfo | None) -> dict[str, object]:
    answer = row.answer or (info.task.blank(info.decoder) if info else None)
    fields: dict[str, object] = {"image": row.image, **(answer.document() if answer else {})}
    fields |= {name: getattr(row, name) for name in ("unlike_training", "out_of_distribution", "error")}
    fields |= {name: value for name in ON_REQUEST if (value := getattr(row, name)) is not None}
    return fields | (info.task.context(info.decoder) | {"synthetic": info.synthetic} if info else {})


def _csv(predictions: Iterable[Prediction], info: ModelInfo | None) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    names = info.task.columns(info.decoder) if info else ["outputs"]
    gaps = gaps_of(info)
    writer.writerow(map(cell, ["image", *names, "error", "unlike_training", "out_of_distribution", *gaps]))
    yield _taken(text)
    for row in predictions:
        answer = row.answer or (info.task.blank(info.decoder) if info else None)
        values = answer.values() if answer else [_plain(row.outputs)]
        fields = [row.image, *values, row.error, row.unlike_training, row.out_of_distribution]
        fields += [" ".join(getattr(row, name) or ()) for name in gaps]
        bare = any("\r" in value for value in fields if isinstance(value, str))  # which the writer does not quote
        (quoting if bare else writer).writerow(map(cell, fields))
        yield _taken(text)


def _plain(outputs: tuple[float, ...] | None) -> str:
    return " ".join(map(str, outputs or ()))


def _taken(text: io.StringIO) -> str:
    """Return what was written, and forget it."""
    written = text.getvalue()
    text.seek(0)
    text.truncate()
    return written


WRITERS: dict[str, Writer] = {"table": _table, "json": _json, "jsonl": _json_lines, "csv": _csv}

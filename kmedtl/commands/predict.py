"""`kmedtl predict`: files in, probabilities and decisions out. Imports no TensorFlow for a `.tflite`."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from dataclasses import asdict

from kmedtl.edge import model_info
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.predictor import Prediction, predict
from kmedtl.export.runtimes import open_runtime
from kmedtl.question import columns


def command(options: argparse.Namespace) -> int:
    info = model_info.read(options.model)
    is_run = (options.model / "model.keras").is_file()
    runtime = open_runtime(options.model / "model.keras" if is_run else options.model)
    predictions = list(predict(runtime, info, options.images))
    print({"table": _table, "json": _json, "csv": _csv}[options.format](predictions, info), end="")
    if info.synthetic:
        print("Trained on synthetic images: the answers say nothing about patients.", file=sys.stderr)
    return 2 if any(prediction.error for prediction in predictions) else 0


def _table(predictions: list[Prediction], info: ModelInfo) -> str:
    header = ["IMAGE", *(f"P({finding})" for finding in info.findings), f"DECISION ({_rule(info)})"]
    rows = [
        [row.image, *(f"{value:.4f}" for value in row.probabilities.values()), row.error or row.decision]
        for row in predictions
    ]
    answered = [header, *(row for row in rows if len(row) == len(header))]
    widths = [max(map(len, column)) for column in zip(*answered, strict=True)]
    widths[0] = max(len(row[0]) for row in [header, *rows])
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in [header, *rows]]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _rule(info: ModelInfo) -> str:
    if not info.thresholds:
        return "the most probable"
    rules = zip(info.findings, info.thresholds, strict=True)
    return "; ".join(f"{finding} from {threshold:.4f} on" for finding, threshold in rules)


def _json(predictions: list[Prediction], info: ModelInfo) -> str:
    shared = {"thresholds": dict(zip(info.findings, info.thresholds, strict=False))}
    return json.dumps([asdict(row) | shared for row in predictions], indent=2, ensure_ascii=False) + "\n"


def _csv(predictions: list[Prediction], info: ModelInfo) -> str:
    names = dict(zip(info.findings, columns("probability", info.kind, info.findings), strict=True))
    text = io.StringIO()
    writer = csv.DictWriter(text, ["image", *names.values(), "decision", "error"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {"image": row.image, "decision": row.decision, "error": row.error}
        | {names[finding]: value for finding, value in row.probabilities.items()}
        for row in predictions
    )
    return text.getvalue()

"""`kmedtl predict`: files in, probabilities and decisions out. Imports no TensorFlow for a `.tflite`."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from dataclasses import asdict, fields

from kmedtl.edge import model_info
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.predictor import Prediction, predict
from kmedtl.export.runtimes import open_runtime


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
    width = max(len("IMAGE"), *(len(prediction.image) for prediction in predictions))
    finding = f"P({info.classes[1]})"
    lines = [f"{'IMAGE':<{width}}  {finding}  DECISION ({info.classes[1]} from {info.threshold:.4f} on)"]
    lines += [
        f"{prediction.image:<{width}}  "
        + (prediction.error or f"{prediction.probability:<{len(finding)}.4f}  {prediction.decision}")
        for prediction in predictions
    ]
    return "\n".join(lines) + "\n"


def _json(predictions: list[Prediction], info: ModelInfo) -> str:
    shared = {"finding": info.classes[1], "threshold": info.threshold}
    return json.dumps([asdict(row) | shared for row in predictions], indent=2, ensure_ascii=False) + "\n"


def _csv(predictions: list[Prediction], info: ModelInfo) -> str:
    text = io.StringIO()
    columns = [field.name for field in fields(predictions[0])]
    writer = csv.DictWriter(text, [*columns, "finding", "threshold"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) | {"finding": info.classes[1], "threshold": info.threshold} for row in predictions)
    return text.getvalue()

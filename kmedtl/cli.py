"""The command line: parses, calls one function a command, prints one line an error.

Imports nothing heavy before a command needs it, so that `kmedtl --help` answers at once.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

import kmedtl
from kmedtl.errors import UserError, nearest

if TYPE_CHECKING:
    from kmedtl.edge.model_info import ModelInfo
    from kmedtl.edge.predictor import Prediction

INTERRUPTED = 130  # as a shell reports SIGINT


class _Interrupt:
    """Answers Ctrl-C with KeyboardInterrupt, and remembers it: C++ code may hand it on as an error of its own."""

    def __init__(self) -> None:
        self.noticed = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._answer)

    def _answer(self, *_: object) -> None:
        self.noticed = True
        raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code: 0, 2 (the user can mend it) or 130 (Ctrl-C)."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter must not end a run
    interrupt = _Interrupt()
    try:
        return options.command(options)
    except BrokenPipeError:
        # The reader of our output left (`kmedtl … | head`); keep Python from complaining again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if options.debug:
            raise
        if interrupt.noticed or isinstance(error, KeyboardInterrupt):
            print("\nstopped: nothing half-written was left behind.", file=sys.stderr)
            return INTERRUPTED
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 2


def _one_line(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text} (unexpected; --debug shows where)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kmedtl", description=kmedtl.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"kmedtl {kmedtl.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="train, evaluate and export what a recipe describes")
    run.add_argument("recipe", help="a name of `kmedtl recipes`, or a YAML file")
    run.add_argument("--data", metavar="SOURCE", help="phantom, a folder of class folders, or a CSV manifest")
    run.add_argument("--backbone", metavar="NAME", help="a name of `kmedtl backbones`")
    run.add_argument("--size", type=int, metavar="PIXELS", help="side of the square that the model sees")
    run.add_argument("--limit", type=int, metavar="N", help="use about N images: whole patients, stratified")
    run.add_argument("--seed", type=int, metavar="N", help="of split, order, augmentation and initial weights")
    run.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default: saved_models/NAME/TIME)")
    run.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="any setting, as stages.0.epochs=3"
    )
    run.set_defaults(command=_run)

    predict = commands.add_parser("predict", help="classify images with a run or an exported model")
    predict.add_argument("model", type=Path, help="run folder, .keras, .tflite or SavedModel folder")
    predict.add_argument("images", nargs="+", metavar="IMAGE", help="PNG, JPEG, TIFF or DICOM files")
    predict.add_argument("--format", choices=("table", "json", "csv"), default="table")
    predict.set_defaults(command=_predict)

    recipes = commands.add_parser("recipes", help="list the built-in recipes")
    recipes.set_defaults(command=_recipes)

    backbones = commands.add_parser("backbones", help="list the backbones and where their weights are to be had")
    backbones.add_argument("pattern", nargs="?", default="*", help="a name or glob, as 'ResNet*'")
    backbones.set_defaults(command=_backbones)

    for command in (run, predict, recipes, backbones):
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _run(options: argparse.Namespace) -> int:
    from kmedtl import config
    from kmedtl.recipes import find

    shortcuts = {
        "data.source": options.data,
        "data.size": options.size,
        "data.limit": options.limit,
        "backbone.name": options.backbone,
        "seed": options.seed,
    }
    assignments = [
        f"{path}={json.dumps(value, ensure_ascii=False)}" for path, value in shortcuts.items() if value is not None
    ]
    recipe = config.override(find(options.recipe), [*assignments, *options.set])

    print("Loading TensorFlow …", file=sys.stderr)
    from kmedtl.quiet import quiet_stderr

    with quiet_stderr():
        from kmedtl.runner import run
    from kmedtl.result import summary

    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # its advice on tracing is not for users

    result, folder = run(recipe, options.out)
    print(summary(result, folder))
    return 0


def _predict(options: argparse.Namespace) -> int:
    from kmedtl.edge import model_info
    from kmedtl.edge.predictor import predict
    from kmedtl.export.runtimes import open_runtime

    info = model_info.read(options.model)
    is_run = (options.model / "model.keras").is_file()
    runtime = open_runtime(options.model / "model.keras" if is_run else options.model)
    predictions = list(predict(runtime, info, options.images))
    print({"table": _table, "json": _json, "csv": _csv}[options.format](predictions, info), end="")
    if info.synthetic:
        print("Trained on synthetic images: the answers say nothing about patients.", file=sys.stderr)
    return 2 if any(prediction.error for prediction in predictions) else 0


def _recipes(options: argparse.Namespace) -> int:
    from kmedtl.recipes import describe

    for name, text in describe().items():
        print(f"{name:<16} {text}")
    return 0


def _backbones(options: argparse.Namespace) -> int:
    from kmedtl.backbones import registry

    names = registry.names(options.pattern)
    if not names:
        raise UserError(f"backbones '{options.pattern}': none matches. {nearest(options.pattern, registry.names())}")
    print(f"{'NAME':<22} {'PARAMETERS':>12} {'SIZE':>5} {'BLOCKS':>7}  WEIGHTS")
    for row in (row for row in registry.describe() if row["name"] in names):
        print(
            "{name:<22} {parameters:>12,} {size:>5} {blocks:>7}  {weights}".format(
                **row | {"blocks": len(row["blocks"])}
            )
        )
    return 0


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


if __name__ == "__main__":
    sys.exit(main())

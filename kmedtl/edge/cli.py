"""`kmedtl-edge`: the commands of a scanner, where there is neither TensorFlow nor Keras.

Imports nothing heavy before a command needs it. `kmedtl` takes the options of its commands of the same names from here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import kmedtl
from kmedtl.system.terminal import carry_out

if TYPE_CHECKING:
    from kmedtl.edge.predictor import Model

ADAPT = "fit a model's threshold and calibration to another hospital, its weights untouched"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code: 0, 2 (the user can mend it) or 130 (Ctrl-C)."""
    parser = argparse.ArgumentParser(
        prog="kmedtl-edge", description="Answers of exported kmedtl models; research only."
    )
    parser.add_argument("--version", action="version", version=f"kmedtl-edge {kmedtl.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")
    predict = commands.add_parser("predict", help="classify images with an exported model")
    predict.add_argument("model", type=Path, help="a .tflite file")
    predict.add_argument("--threads", type=_count, default=1, metavar="N", help="cores an image may use (default: 1)")
    predict.set_defaults(run=_predict)
    add_predict_options(predict)
    inspect = commands.add_parser("inspect", help="show what a model file says about itself")
    inspect.set_defaults(run=_inspect)
    add_inspect_options(inspect)
    adapt = commands.add_parser("adapt", help=ADAPT)
    adapt.set_defaults(run=_adapt)
    add_adapt_options(adapt, "a .tflite file")
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    return carry_out(options.run, options)


def add_predict_options(parser: argparse.ArgumentParser) -> None:
    """Add what `kmedtl.edge.predict_files.answer` reads."""
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="PNG, JPEG, TIFF, DICOM or NIfTI files, folders (also of a DICOM series), '-' for one from stdin; of "
        "several images of a patient VIEW=FILE …, a CSV with a column a view, or folders",
    )
    parser.add_argument("--files-from", metavar="FILE", help="read names of images, one a line; '-' for stdin")
    parser.add_argument("--format", choices=("table", "json", "jsonl", "csv"), default="table")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the answers there instead of printing them")
    parser.add_argument(
        "--fields",
        metavar="WHAT",
        help="what is known beside the images: age=54,sex=F of all, or a CSV with a row an image; else their DICOM "
        "headers say",
    )
    parser.add_argument("--explain", type=Path, metavar="DIR", help="write what each answer rests on, as pictures")
    parser.add_argument(
        "--window",
        action="store_true",
        help="look at large images through a window of the model's size, at their own resolution (segmentations)",
    )
    parser.add_argument(
        "--masks", type=Path, metavar="DIR", help="write the masks of a segmentation, as PNG files, of volumes as NIfTI"
    )
    parser.add_argument(
        "--dicom-seg",
        type=Path,
        metavar="DIR",
        help="write the masks of each DICOM file as a DICOM segmentation; they name the patient, as a PACS needs",
    )
    parser.add_argument(
        "--dicom-report",
        type=Path,
        metavar="DIR",
        help="write a structured report and a heat map of each DICOM file; they name the patient, as a PACS needs",
    )


def add_inspect_options(parser: argparse.ArgumentParser) -> None:
    """Add what `kmedtl.edge.inspection.inspect` is asked with."""
    parser.add_argument("model", type=Path, metavar="FILE", help="a model file, SavedModel folder or run folder")
    parser.add_argument("--json", action="store_true", help="print the whole document as JSON")


def add_adapt_options(parser: argparse.ArgumentParser, what: str) -> None:
    """Add what `kmedtl.edge.adaptation.adapt.adapt` reads."""
    parser.add_argument("model", type=Path, nargs="?", metavar="MODEL", help=what)
    parser.add_argument("--data", metavar="SITE", help="images of the other hospital: a folder, or a CSV of paths")
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="a CSV with the columns path, label and perhaps patient, 25 rows or more",
    )
    parser.add_argument("--prevalence", type=float, metavar="SHARE", help="how frequent the finding is there, as .6")
    parser.add_argument("--site", metavar="NAME", help="what the file calls the hospital (default: a random name)")
    parser.add_argument("--fields", metavar="WHAT", help="what is known beside the images, as of predict")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a new file (default: MODEL-NAME beside MODEL)")
    parser.add_argument("--undo", type=Path, metavar="FILE", help="say which file an adapted one was made of")


def _adapt(options: argparse.Namespace) -> int:
    from kmedtl.edge.adaptation.adapt import adapt
    from kmedtl.edge.open_model import open_tflite

    return adapt(options, open_tflite)


def answer_with(open_model: Callable[[], Model], options: argparse.Namespace) -> int:
    """Print the answers of the model that `open_model` opens, while the process that decodes gets ready."""
    from kmedtl.images.workers import worker_at_hand

    with worker_at_hand("kmedtl.images.decode") as worker:
        model = open_model()
        from kmedtl.edge.predict_files import answer
        from kmedtl.images.decode import decode_all

        return answer(replace(model, decode=partial(decode_all, first=worker)), options)


def _predict(options: argparse.Namespace) -> int:
    def open_model() -> Model:
        from kmedtl.edge.open_model import open_tflite

        return open_tflite(options.model, options.threads)

    return answer_with(open_model, options)


def _inspect(options: argparse.Namespace) -> int:
    from kmedtl.edge.inspection import inspect

    print(inspect(options.model, options.json), end="")
    return 0


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on. Received: {text!r}")
    return int(text)

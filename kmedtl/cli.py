"""The command line: parses, hands over to a module of `kmedtl.commands`, prints one line an error.

Imports nothing heavy before a command needs it, so that `kmedtl --help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

import kmedtl
from kmedtl.edge.cli import add_inspect_options, add_predict_options
from kmedtl.system.terminal import carry_out

SOURCE = "phantom, tfds:NAME, a folder of class folders, a CSV or Parquet manifest, or an .npz file"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code: 0, 2 (the user can mend it), 3 (a file misses its gate) or 130."""
    options = parser().parse_args(arguments)
    return carry_out(_command, options, lasting=options.command != "predict")


def _command(options: argparse.Namespace) -> int:
    return importlib.import_module(f"kmedtl.commands.{options.command.replace('-', '_')}").command(options)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(prog="kmedtl", description=kmedtl.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"kmedtl {kmedtl.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")

    run = commands.add_parser("run", help="train, evaluate and export what a recipe describes")
    run.add_argument("recipe", help="a name of `kmedtl recipes`, or a YAML file")
    run.add_argument(
        "--folds", type=_folds, metavar="K", help="cross-validate over K parts, or 'site': leave each site out once"
    )
    run.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default: saved_models/NAME/TIME)")
    run.add_argument("--resume", action="store_true", help="go on with a run that stopped, after its last epoch")
    _add_recipe_options(run)

    _add_search(commands.add_parser("search", help="try variations of a recipe, and run the best one"))

    rate = commands.add_parser("lr-find", help="which rate to train a stage with: a range test, as a plot")
    rate.add_argument("recipe", help="a name of `kmedtl recipes`, or a YAML file")
    rate.add_argument(
        "--stage", type=int, default=0, metavar="N", help="its number, from 0 on; those before are trained"
    )
    rate.add_argument("--out", type=Path, metavar="FILE", default=Path("lr_find.png"), help="the plot, PNG")
    _add_recipe_options(rate)

    audit = commands.add_parser("audit", help="count, find copies, leaks, shortcuts and broken files; train nothing")
    audit.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default: saved_models/audit/TIME)")
    _add_source(audit)

    manifest = commands.add_parser("manifest", help="write a source as a CSV, to be edited and used again")
    manifest.add_argument("-o", "--out", type=Path, metavar="FILE", default=Path("manifest.csv"))
    _add_source(manifest)

    _add_store(commands.add_parser("store", help="list, clear or build the cache of decoded images"))

    predict = commands.add_parser("predict", help="classify images with a run or an exported model")
    predict.add_argument("model", type=Path, help="run folder, .keras, .tflite or SavedModel folder")
    add_predict_options(predict)

    add_inspect_options(commands.add_parser("inspect", help="show what a model file says about itself"))

    shift = commands.add_parser(
        "shift", help="judge a run on corrupted test images, as another hospital might send them"
    )
    shift.add_argument("run", type=Path, help="run folder, or one of its models, as RUN/model_int8.tflite")
    shift.add_argument(
        "--severities", type=_severities, metavar="1-5", default="1-5", help="a range or one of 1 to 5 (default: 1-5)"
    )
    shift.add_argument("--match", metavar="SOURCE", help="take the reference histogram from these images: " + SOURCE)
    shift.add_argument("--limit", type=int, metavar="N", help="about N test images: whole patients, stratified")
    shift.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default: RUN/shift)")

    compare = commands.add_parser("compare", help="show what differs between runs, and what it did to the test")
    compare.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders; the first is the reference")
    compare.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default: saved_models/compare/TIME)")

    ensemble = commands.add_parser("ensemble", help="let runs vote, or average their weights; judged as a run is")
    ensemble.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders of one split")
    ensemble.add_argument(
        "--method",
        choices=("mean", "vote", "weighted", "stack", "soup", "uniform_soup"),
        default="mean",
        help="mean of probabilities (default), majority vote, validation-weighted mean, stacking; weight soups",
    )
    ensemble.add_argument("--out", type=Path, metavar="DIR", help="a new run folder (default: saved_models/NAME/TIME)")

    _add_evaluate(commands.add_parser("evaluate", help="judge a table of predictions, of any model, with intervals"))

    export = commands.add_parser("export", help="write a run in other formats, and measure each against the model")
    export.add_argument("run", type=Path, metavar="RUN", help="run folder")
    export.add_argument(
        "--formats",
        type=lambda text: text.split(","),
        default=["saved_model", "float32", "float16", "dynamic", "int8"],
        metavar="NAMES",
        help="of saved_model, float32, float16, dynamic, int8 and onnx (default: all but onnx)",
    )
    export.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default: RUN/exports)")
    export.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="a setting, as export.gate.flips=0.01"
    )

    report = commands.add_parser("report", help="say where a run's report is, or print it as a PDF")
    report.add_argument("run", type=Path, metavar="RUN", help="run folder")
    report.add_argument("--pdf", action="store_true", help="print it with Chromium or Chrome, if one is installed")
    report.add_argument("--out", type=Path, metavar="FILE", help="the PDF (default: RUN/report.pdf)")
    report.add_argument("--browser", type=Path, metavar="PATH", help="which Chromium or Chrome")

    commands.add_parser("recipes", help="list the built-in recipes")

    backbones = commands.add_parser("backbones", help="list the backbones and where their weights are to be had")
    backbones.add_argument("pattern", nargs="?", default="*", help="a name or glob, as 'ResNet*'")

    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a probability from 0 to 1. Received: {text!r}")
    return value


def _folds(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def _severities(text: str) -> tuple[int, ...]:
    first, last = (text.split("-") * 2)[:2]
    severities = tuple(range(int(first), int(last) + 1)) if first.isdigit() and last.isdigit() else ()
    if not severities or not set(severities) <= set(range(1, 6)):
        raise argparse.ArgumentTypeError(f"expected a severity from 1 to 5, or a range such as 1-5. Received: {text!r}")
    return severities


def _add_recipe_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="SOURCE", help=SOURCE)
    parser.add_argument("--backbone", metavar="NAME", help="a name of `kmedtl backbones`")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="side of the square that the model sees")
    parser.add_argument("--limit", type=int, metavar="N", help="use about N images: whole patients, stratified")
    parser.add_argument("--seed", type=int, metavar="N", help="of split, order, augmentation and initial weights")
    _add_data_options(parser)


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a name of `kmedtl recipes`, or a YAML file; its `search` says what varies")
    parser.add_argument("--trials", type=int, metavar="N", help="at most so many (default: 30)")
    parser.add_argument("--tuner", metavar="NAME", help="bayesian (default), random, hyperband or grid")
    parser.add_argument("--objective", metavar="NAME", help="val_auc (default), val_loss or score")
    parser.add_argument("--hours", type=float, metavar="H", help="begin no trial after so long")
    parser.add_argument(
        "--folds", dest="search_folds", type=int, metavar="K", help="judge trials by K folds of training and validation"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the folder (default: saved_models/NAME/search-TIME)")
    parser.add_argument("--resume", action="store_true", help="go on with a search that stopped, after its last trial")
    parser.add_argument(
        "--ray", default="", metavar="ADDRESS", help="have Ray carry out the trials: local, or a cluster's address"
    )
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N", help="trials at a time of Ray (default: one a machine)"
    )
    _add_recipe_options(parser)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="SOURCE", help=SOURCE)
    parser.add_argument("--recipe", help="read the images as this recipe does")
    _add_data_options(parser)


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--labels", metavar="FILE", help="a CSV of labels for a folder of any depth, such as DICOM")
    parser.add_argument("--keep-ids", action="store_true", help="write patient ids and file names as they are")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="any setting, as data.window.name=LUNG"
    )


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("predictions", type=Path, help="a CSV with a row an image, or a run folder")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder for metrics.json")
    parser.add_argument("--split", default="test", help="rows to judge where there is a column 'split' (default: test)")
    parser.add_argument(
        "--threshold", type=_probability, metavar="T", help="a finding is called from this probability on"
    )
    parser.add_argument("--finding", default="", metavar="NAME", help="of two names under 'label', what is looked for")
    parser.add_argument(
        "--groups", type=lambda text: text.split(","), default=[], metavar="COLUMNS", help="judge by these, as sex,age"
    )
    parser.add_argument("--ordered", action="store_true", help="the classes are grades, in order: add weighted kappas")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_store(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    actions.add_parser("list", help="what the cache holds, with sizes")
    clear = actions.add_parser("clear", help="remove it: it is made again when needed")
    clear.add_argument("names", nargs="*", metavar="NAME", help="as `kmedtl store list` prints them; none: all")
    build = actions.add_parser("build", help="decode a source now, on many machines with Apache Beam if asked")
    build.add_argument("--beam", metavar="OPTIONS", help="Beam's own, as 'runner=DirectRunner direct_num_workers=2'")
    _add_source(build)

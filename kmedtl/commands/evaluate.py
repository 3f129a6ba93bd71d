"""`kmedtl evaluate`: a table of predictions, of whatever model, judged. Imports no TensorFlow."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmedtl.commands.options import names
from kmedtl.files.json_files import to_json, write_json

if TYPE_CHECKING:
    from kmedtl.tasks.task import TableEvaluation

HELP = "judge a table of predictions, of any model, with intervals"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("predictions", type=Path, help="a CSV with a row an image, or a run folder")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder for metrics.json")
    parser.add_argument(
        "--task",
        default="",
        help="what the table answers, as regression (default: as the run or its columns say, else classification)",
    )
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
    from kmedtl.runs import run_folder
    from kmedtl.runs.evaluate_table import judge
    from kmedtl.system.progress import progress
    from kmedtl.tasks.task import TableSettings

    settings = TableSettings(
        options.split, options.threshold, options.finding, options.ordered, tuple(options.groups), options.manifest
    )
    with progress(total=1, title="Judging"):
        found, document = judge(options.predictions, settings, options.task)
    if options.out:
        final = run_folder.choose(options.out, "evaluate")
        with run_folder.building(final) as folder:
            write_json(folder / "metrics.json", document)
    print(to_json(document) if options.json else _lines(options, document, found), end="")
    return 0


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a probability from 0 to 1. Received: {text!r}")
    return value


def _lines(options: argparse.Namespace, document: dict[str, Any], found: TableEvaluation) -> str:
    lines = [
        f"{options.predictions}: {found.images} images of {found.patients} patients; 95 % intervals in brackets",
        *found.lines,
        *(f"  Note: {note}" for note in document["notes"]),
        *([document["notice"]] if "notice" in document else []),
        *([f"Figures: {options.out / 'metrics.json'}"] if options.out else []),
    ]
    return "\n".join(lines) + "\n"

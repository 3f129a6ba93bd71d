"""`kmedtl drift`: a predictor's log beside validation, with alarms. Imports no TensorFlow."""

from __future__ import annotations

import argparse
from pathlib import Path

import kmedtl
from kmedtl.commands.options import add_quiet
from kmedtl.errors import UserError

HELP = "watch a predictor's log for images and scores unlike validation's"
ALARM = 3  # a window differs


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", type=Path, metavar="LOG", help="answers of `predict --format jsonl`, oldest first")
    parser.add_argument("--model", type=Path, metavar="FILE", required=True, help="the model file that gave them")
    parser.add_argument("--first", type=int, metavar="N", help="compare with the log's first N answers, not validation")
    parser.add_argument("--window", type=int, default=100, metavar="N", help="answers of a window (default: 100)")
    parser.add_argument(
        "--false-alarms", type=float, default=0.001, metavar="RATE", help="a window without drift (default: 0.001)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default: LOG's name and -drift)")
    add_quiet(parser)


def command(options: argparse.Namespace) -> int:
    from kmedtl.edge import model_info
    from kmedtl.runs import drift_page, run_folder
    from kmedtl.runs.drift import FEWEST, drift, read_log
    from kmedtl.runs.result import SYNTHETIC

    if options.window < FEWEST:
        raise UserError(f"--window: expected {FEWEST} answers or more. Received: {options.window}.")
    if not 0 < options.false_alarms < 0.5:
        raise UserError(f"--false-alarms: expected a rate above 0 and below 0.5. Received: {options.false_alarms}.")
    info = model_info.read(options.model)
    found = drift(read_log(options.log, info), info, options.first, options.window, options.false_alarms)
    final = run_folder.choose(options.out or options.log.with_name(f"{options.log.stem}-drift"), "drift")
    notice = SYNTHETIC if info.synthetic else ""
    with run_folder.building(final) as folder:
        drift_page.write(found, folder, options.model.name, info, notice, kmedtl.__version__)
    lines = [] if options.quiet else drift_page.summary(found)
    print("\n".join([*lines, *([notice] if notice else []), f"Page: {final / 'drift.html'}"]))
    return ALARM if found.alarms else 0

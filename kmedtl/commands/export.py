"""`kmedtl export`: a finished run in other formats, each file measured against the model."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from kmedtl.commands.checks import check_run, check_source_of
from kmedtl.commands.options import add_quiet, names
from kmedtl.errors import UserError

HELP = "write a run in other formats, and measure each against the model"
MISSED = 3  # a file misses its gate


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder")
    parser.add_argument(
        "--formats",
        type=names,
        default=["saved_model", "float32", "float16", "dynamic", "int8"],
        metavar="NAMES",
        help="of saved_model, float32, float16, dynamic, int8 and onnx (default: all but onnx)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default: RUN/exports)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="a setting, as export.gate.flips=0.01"
    )
    add_quiet(parser)


def command(options: argparse.Namespace) -> int:
    from kmedtl.config import override
    from kmedtl.runs import run_folder
    from kmedtl.runs.locate import RECIPE
    from kmedtl.system.native_logs import loading_tensorflow

    check_run(options.run)
    if not (options.run / RECIPE).is_file():
        raise UserError(f"{options.run}: expected a run folder; {RECIPE} is not there.")
    check_source_of(options.run)
    final = run_folder.choose(options.out or options.run / "exports", "exports")
    with loading_tensorflow():
        from kmedtl.export.formats import check
        from kmedtl.runs.export_run import export_run, summary
        from kmedtl.runs.reopen import open_run

    formats = check(options.formats)
    run = open_run(options.run)
    run = replace(run, recipe=override(run.recipe, options.set))
    with run_folder.building(final) as folder:
        exported = export_run(run, formats, folder, print)
    print("\n".join([*([] if options.quiet else summary(exported)), f"Files: {final}"]))
    return MISSED if exported.rejected else 0

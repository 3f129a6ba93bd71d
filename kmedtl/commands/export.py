"""`kmedtl export`: a finished run in other formats, each file measured against the model."""

from __future__ import annotations

import argparse
from dataclasses import replace

from kmedtl.config import override
from kmedtl.errors import UserError
from kmedtl.runs import run_folder
from kmedtl.system.native_logs import loading_tensorflow

MISSED = 3  # a file misses its gate


def command(options: argparse.Namespace) -> int:
    with loading_tensorflow():
        from kmedtl.export.formats import check
        from kmedtl.runs import reopen
        from kmedtl.runs.export_run import export_run, summary

    formats = check(options.formats)
    if not (options.run / reopen.RECIPE).is_file():
        raise UserError(f"{options.run}: expected a run folder; {reopen.RECIPE} is not there.")
    run = reopen.open_run(options.run)
    run = replace(run, recipe=override(run.recipe, options.set))
    final = run_folder.choose(options.out or run.folder / "exports", "exports")
    with run_folder.building(final) as folder:
        exported = export_run(run, formats, folder, print)
    print("\n".join([*summary(exported), f"Files: {final}"]))
    return MISSED if exported.rejected else 0

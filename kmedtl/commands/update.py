"""`kmedtl update`: a finished run learns from new images, and is accepted only where it forgot nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

from kmedtl.commands.checks import check_recipe, check_run
from kmedtl.commands.options import add_limit, add_quiet
from kmedtl.data.kinds import KINDS

HELP = "let a run learn from new images; rejected where it forgets old ones"
NOT_ACCEPTED = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--data", metavar="SOURCE", required=True, help=f"new labelled images: {KINDS}")
    parser.add_argument("--labels", metavar="FILE", help="a CSV of their labels, by path, DICOM UID or PatientID")
    parser.add_argument("--replay", metavar="WHAT", help="of the run's own, learn again: images (default), none")
    parser.add_argument(
        "--margin", type=float, metavar="LOSS", help="the headline may fall by this on the run's own test (0.005)"
    )
    parser.add_argument("--distill", action="store_true", help="learn the run's answers beside the labels")
    add_limit(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="the new run folder (default: saved_models/NAME/TIME)")
    parser.add_argument("--resume", action="store_true", help="go on with an update that stopped, after its last epoch")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="any setting, as stages.0.l2_sp=0.1"
    )
    add_quiet(parser)


def command(options: argparse.Namespace) -> int:
    from kmedtl.commands.options import shortcuts
    from kmedtl.config import override
    from kmedtl.runs import run_folder
    from kmedtl.runs.locate import located
    from kmedtl.system.native_logs import loading_tensorflow
    from kmedtl.system.quiet import unheard
    from kmedtl.tasks.saved_run import read_run

    check_run(options.run)
    folder, _ = located(options.run)
    with loading_tensorflow():
        from kmedtl.commands.endings import ending, summary
        from kmedtl.runner import run
        from kmedtl.runs.result import Result
        from kmedtl.runs.update.plan import recipe_of_update

    given = {"distill": str(folder.absolute()) if options.distill else None}
    given |= {f"update.{name}": getattr(options, name) for name in ("replay", "margin")}
    asked = [f"{path}={value}" for path, value in given.items() if value is not None]
    recipe = override(recipe_of_update(read_run(folder), options.data), [*shortcuts(options), *asked, *options.set])
    check_recipe(recipe)
    found, final = run(recipe, options.out, unheard if options.quiet else print, options.resume)
    assert isinstance(found, Result)
    assert found.update  # as of every recipe that updates a run
    told = [*found.update.lines, ending(found, final)] if options.quiet else [summary(found, final)]
    run_folder.logged(print, final)("\n".join(told))
    return 0 if found.update.record.accepted else NOT_ACCEPTED

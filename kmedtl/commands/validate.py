"""`kmedtl validate`: a run judged on labelled images of another hospital, by the operating point that it has."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import kmedtl
from kmedtl.commands.checks import check_run, check_source
from kmedtl.commands.options import add_limit, add_quiet, names
from kmedtl.data.kinds import KINDS

if TYPE_CHECKING:
    from kmedtl.runs.validate import Validation

HELP = "judge a run on labelled images of another hospital, nothing chosen anew"
MISSED = 3  # a figure is below what `--at-least` asks


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run folder, or one of its models, as RUN/model_int8.tflite")
    parser.add_argument("--data", metavar="SOURCE", required=True, help=f"labelled images: {KINDS}")
    parser.add_argument("--labels", metavar="FILE", help="a CSV of their labels, by path, DICOM UID or PatientID")
    parser.add_argument("--groups", type=names, default=[], metavar="COLUMNS", help="judge by these, as sex,site")
    parser.add_argument(
        "--at-least",
        type=_bound,
        action="append",
        default=[],
        metavar="FIGURE=VALUE",
        help="exit with 3 where a figure is lower, as auc=0.95; may be given several times",
    )
    parser.add_argument(
        "--other-patients", action="store_true", help="patients of the same name here and in the run are other people"
    )
    add_limit(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default: RUN/validation-NAME)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="how they are read, as data.patient_pattern=…"
    )
    add_quiet(parser)


def _bound(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        bound = float(value)
    except ValueError:
        bound = math.nan
    if not name or not math.isfinite(bound):
        raise argparse.ArgumentTypeError(f"expected FIGURE=VALUE, as auc=0.95. Received: {text!r}")
    return name, bound


def command(options: argparse.Namespace) -> int:
    from kmedtl.config import override
    from kmedtl.recipe import Data
    from kmedtl.runs import run_folder
    from kmedtl.runs.locate import located
    from kmedtl.system.native_logs import loading_tensorflow

    check_run(options.run, "a run folder or one of its models")
    folder, model = located(options.run)
    check_source(Data(source=options.data, labels=options.labels or ""))
    name = "validation-" + (Path(options.data).stem or "images").replace(":", "-")
    final = run_folder.choose(options.out or folder / name, "validate")
    with loading_tensorflow():
        from kmedtl.runs import validate_page
        from kmedtl.runs.reopen import open_run
        from kmedtl.runs.result import SYNTHETIC
        from kmedtl.runs.validate import validate

    changes = [*([f"data.labels={options.labels}"] if options.labels else []), *options.set]
    run = open_run(options.run)
    with run_folder.building(final) as place:
        found = validate(
            run,
            options.data,
            partial(override, assignments=changes),
            options.groups,
            options.limit,
            not options.other_patients,
            dict(options.at_least),
        )
        missed = _missed(found, dict(options.at_least))
        notice = SYNTHETIC if found.synthetic or run.info.synthetic else ""
        validate_page.write(found, place, model.name, run.info, notice, kmedtl.__version__)
    lines = [] if options.quiet else validate_page.summary(found)
    print("\n".join([*lines, *missed, *([notice] if notice else []), f"Page: {final / 'validation.html'}"]))
    return MISSED if missed else 0


def _missed(found: Validation, bounds: Mapping[str, float]) -> list[str]:
    """Return what is to be said of figures that are lower than asked, or unknown here."""
    known = {name: found.figures[name].here if name in found.figures else None for name in bounds}
    return [
        f"Missed: {name} is {known[name] or 'unknown here'}, asked: at least {bound:g}"
        for name, bound in bounds.items()
        if not (one := known[name]) or not one.value >= bound
    ]

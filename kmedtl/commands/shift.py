"""`kmedtl shift`: a run on corrupted test images, as another hospital might send them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import kmedtl
from kmedtl.commands.checks import check_source, check_source_of
from kmedtl.commands.options import add_quiet
from kmedtl.data.kinds import KINDS
from kmedtl.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from kmedtl.edge.tasks.task import Outputs
    from kmedtl.recipe import Data

HELP = "judge a run on corrupted test images, as another hospital might send them"
MATCHED = 200  # images of another source that its typical histogram is taken from


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run folder, or one of its models, as RUN/model_int8.tflite")
    parser.add_argument(
        "--severities", type=_severities, metavar="1-5", default="1-5", help="a range or one of 1 to 5 (default: 1-5)"
    )
    parser.add_argument("--match", metavar="SOURCE", help="take the reference histogram from these images: " + KINDS)
    parser.add_argument("--limit", type=int, metavar="N", help="about N test images: whole patients, stratified")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="a new folder (default: RUN/shift, of a file RUN/shift-NAME)"
    )
    add_quiet(parser)


def _severities(text: str) -> tuple[int, ...]:
    first, last = (text.split("-") * 2)[:2]
    severities = tuple(range(int(first), int(last) + 1)) if first.isdigit() and last.isdigit() else ()
    if not severities or not set(severities) <= set(range(1, 6)):
        raise argparse.ArgumentTypeError(f"expected a severity from 1 to 5, or a range such as 1-5. Received: {text!r}")
    return severities


def command(options: argparse.Namespace) -> int:
    from kmedtl.recipe import Data
    from kmedtl.runs import run_folder
    from kmedtl.system.native_logs import loading_tensorflow

    check_source_of(options.run)
    if options.match:
        check_source(Data(source=options.match))

    with loading_tensorflow():
        from kmedtl.data.corruptions import REFERENCE
        from kmedtl.edge.shapes import ModelInputs, check_fits
        from kmedtl.export.runtimes import ask, open_runtime
        from kmedtl.runs import reopen, shift_page
        from kmedtl.runs.result import SYNTHETIC
        from kmedtl.runs.shift import shift

    run = reopen.open_run(options.run)
    whole = run.model.name == reopen.MODEL
    final = run_folder.choose(options.out or run.folder / ("shift" if whole else f"shift-{run.model.stem}"), "shift")
    with run_folder.building(final) as folder:
        reference = _histogram(run.recipe.data, options.match, run.recipe.seed) if options.match else REFERENCE
        images = reopen.test_images(run, options.limit, print)
        runtime = open_runtime(run.model)
        check_fits(run.model, runtime.shapes, run.info)
        bags, (pixels, beside) = images.bags, images.inputs()
        test = run.examples("test").in_order_of(bags.table(images.table)["id"])

        def answered(seen: np.ndarray) -> Outputs:
            return bags.outputs(ask(runtime, ModelInputs(seen, beside), run.model.name))

        found = shift(
            answered, pixels, test, run.info.decoder, options.severities, run.recipe.seed,
            reference,
        )  # fmt: skip
        notice = SYNTHETIC if run.info.synthetic else ""
        shift_page.write(found, folder, run.model.name, run.info, notice, kmedtl.__version__)
    lines = [] if options.quiet else shift_page.summary(found)
    print("\n".join([*lines, *([notice] if notice else []), f"Page: {final / 'shift.html'}"]))
    return 0


def _histogram(data: Data, source: str, seed: int) -> np.ndarray:
    """Return the typical histogram of another source, read as the run reads its own."""
    import numpy as np

    from kmedtl.data import sources, store
    from kmedtl.data.corruptions import quantiles_of

    other = replace(data, source=source, labels="", classes=(), patient_pattern="", limit=MATCHED)
    images = store.prepare(sources.load(other, seed).table, data.reading)
    if not images.count:
        raise UserError(f"--match {source}: none of its images could be read; see `kmedtl audit {source}`.")
    return quantiles_of(np.stack(list(images.images().as_numpy_iterator())))

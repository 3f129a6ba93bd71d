"""`kmedtl shift`: a run on corrupted test images, as another hospital might send them."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

import kmedtl
from kmedtl.errors import UserError
from kmedtl.recipe import Data
from kmedtl.runs import run_folder
from kmedtl.system.native_logs import loading_tensorflow

MATCHED = 200  # images of another source that its typical histogram is taken from


def command(options: argparse.Namespace) -> int:
    with loading_tensorflow():
        from kmedtl.data.corruptions import REFERENCE
        from kmedtl.edge.shapes import check_fits
        from kmedtl.export.runtimes import open_runtime
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
        test = run.examples("test")
        rows = [{name: row for row, name in enumerate(test.ids)}[name] for name in images.table["id"]]
        found = shift(
            runtime, images.pixels(), test.of(np.array(rows)), run.info.decoder, options.severities, run.recipe.seed,
            reference,
        )  # fmt: skip
        notice = SYNTHETIC if run.info.synthetic else ""
        shift_page.write(found, folder, run.model.name, run.info, notice, kmedtl.__version__)
    lines = [*shift_page.summary(found), *([notice] if notice else []), f"Page: {final / 'shift.html'}"]
    print("\n".join(lines))
    return 0


def _histogram(data: Data, source: str, seed: int) -> np.ndarray:
    """Return the typical histogram of another source, read as the run reads its own."""
    from kmedtl.data import sources, store
    from kmedtl.data.corruptions import quantiles_of

    other = replace(data, source=source, labels="", classes=(), patient_pattern="", limit=MATCHED)
    images = store.prepare(sources.load(other, seed).table, data.reading)
    if not images.count:
        raise UserError(f"--match {source}: none of its images could be read; see `kmedtl audit {source}`.")
    return quantiles_of(np.stack(list(images.images().as_numpy_iterator())))

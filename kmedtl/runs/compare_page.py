"""A comparison of runs, told: a CSV, a plot, a page that stands alone, and a few lines for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from kmedtl.files import html
from kmedtl.files.csv_tables import write_csv
from kmedtl.runs.compare import Comparison, Run, shown
from kmedtl.runs.figures import data_efficiency, headlines
from kmedtl.statistics.confidence import Estimate, reasons
from kmedtl.system.text_tables import aligned
from kmedtl.system.titles import title

UNPAIRED = "other test images"


def write(comparison: Comparison, folder: Path, version: str) -> None:
    """Write `compare.csv`, `plots/` and the self-contained `compare.html` into `folder`."""
    write_csv(comparison.table(), folder / "compare.csv")
    curves = comparison.curves()
    figures = (
        {"data_efficiency": data_efficiency(curves)}
        if curves
        else {comparison.runs[0].figure: headlines(comparison.runs)}
    )
    html.write(
        folder / "compare.html",
        Path(__file__).with_name("compare.html"),
        plots=html.save_plots(figures, folder / "plots"),
        header=_header(comparison),
        rows=_rows(comparison),
        reasons=reasons(_figures(comparison)),
        first=comparison.runs[0].name,
        headline=title(comparison.runs[0].figure),
        all_paired=all(comparison.gains),
        unpaired=UNPAIRED,
        notice=comparison.notice,
        version=version,
    )


def summary(comparison: Comparison) -> list[str]:
    """Return the table as lines, columns aligned."""
    first = comparison.runs[0].name
    return [
        *aligned([_header(comparison), *_rows(comparison)]),
        *reasons(_figures(comparison)),
        f"95 % intervals in brackets; gain: {title(comparison.runs[0].figure)} minus that of {first}, image by image.",
        f"There: in {first}. Decisions are taken at each run's own operating point; p is McNemar's, by patient.",
    ]


def _header(comparison: Comparison) -> list[str]:
    counts = ["Training images", "Epochs", "Minutes"]
    first = comparison.runs[0]
    name, beside = title(first.figure), title(first.task.beside, first.unit_beside if _same_units(comparison) else "")
    return ["Run", *comparison.settings, *counts, name, beside, f"{name} gain", "Right only here : there"]


def _rows(comparison: Comparison) -> list[list[str]]:
    return [_row(comparison, number, run) for number, run in enumerate(comparison.runs)]


def _figures(comparison: Comparison) -> Iterator[tuple[str, Estimate]]:
    """Yield the figures that the table shows of each run, by their names in words."""
    for number, (run, gain) in enumerate(zip(comparison.runs, comparison.gains, strict=True)):
        yield f"{run.name}, {title(run.figure)}", run.headline
        yield f"{run.name}, {title(run.task.beside)}", run.beside
        if number and gain:  # the first gains nothing over itself
            yield f"{run.name}, {title(run.figure)} gain", gain


def _same_units(comparison: Comparison) -> bool:
    """Tell whether one heading can say the unit for all runs; else each cell does."""
    return len({run.unit_beside for run in comparison.runs}) == 1


def _row(comparison: Comparison, number: int, run: Run) -> list[str]:
    gain = comparison.gains[number]
    return [
        run.name,
        *(shown(values[number]) for values in comparison.settings.values()),
        str(run.training_images),
        str(run.epochs),
        "–" if math.isnan(run.seconds) else f"{run.seconds / 60:.1f}",
        run.headline.cell,
        run.beside.cell if _same_units(comparison) else f"{run.beside.cell} {run.unit_beside}",
        "–" if number == 0 else gain.cell if gain else UNPAIRED,
        "–" if number == 0 or run.right is None else str(comparison.decisions[number] or UNPAIRED),
    ]

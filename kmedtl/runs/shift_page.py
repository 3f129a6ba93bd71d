"""A model under corruptions, as a CSV, a plot, a page that stands alone, and a few lines for the terminal."""

from __future__ import annotations

from pathlib import Path

from kmedtl.edge.model_info import ModelInfo
from kmedtl.files import html
from kmedtl.files.csv_tables import write_csv
from kmedtl.runs import figures
from kmedtl.runs.shift import Row, Shift
from kmedtl.statistics.confidence import reasons
from kmedtl.system.text_tables import aligned
from kmedtl.system.titles import title


def write(shift: Shift, folder: Path, model: str, info: ModelInfo, notice: str, version: str) -> None:
    """Write `shift.csv`, `plots/` and the self-contained `shift.html` into `folder`.

    Args:
        model: which file was judged.
        notice: the mark of synthetic images; empty: none are.
    """
    table = shift.table()
    write_csv(table.assign(synthetic=bool(notice)), folder / "shift.csv")
    drawn = {"severities": figures.severities(table, shift.headline, title(shift.headline))}
    html.write(
        folder / "shift.html",
        Path(__file__).with_name("shift.html"),
        plots=html.save_plots(drawn, folder / "plots"),
        shift=shift,
        model=model,
        info=info,
        rule=[sentence for _, sentence in info.task.in_words(info.decoder)],
        headline=title(shift.headline),
        headings=shift.headings,
        notice=notice,
        version=version,
    )


def summary(shift: Shift) -> list[str]:
    """Return a table of the summarised severity, with the mean and the worst, as lines."""
    name = title(shift.headline)
    header = ["", *shift.headings, f"{name} lost"]
    shown = [shift.clean, *shift.at(shift.summarised)]
    rows = [_cells(row) for row in shown]
    return [
        f"Test set: {shift.images} images of {shift.patients} patients; severity {shift.summarised}; "
        "95 % intervals in brackets",
        *aligned([header, *rows]),
        *reasons((title(figure), one) for row in shown for figure, one in row.estimates.items()),
        f"Mean {name} lost:  {shift.mean_loss}",
        *_worst(shift),
        *([f"Left out, as masks would not follow: {', '.join(shift.left_out)}"] if shift.left_out else []),
    ]


def _worst(shift: Shift) -> list[str]:
    """Return the line on the worst corruption, where one costs anything."""
    if shift.worst is None:
        return []
    row, name = shift.worst, title(shift.headline)
    return [f"Worst: {row.corruption} ({row.meaning}), {name} {row.estimates[shift.headline]}, lost {row.loss}"]


def _cells(row: Row) -> list[str]:
    return [f"  {row.corruption}", *(one.cell for one in row.estimates.values()), row.loss.cell if row.severity else ""]

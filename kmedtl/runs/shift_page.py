"""A model under corruptions, told: a CSV, a plot, a page that stands alone, and a few lines for the terminal."""

from __future__ import annotations

from pathlib import Path

from kmedtl.edge.model_info import ModelInfo
from kmedtl.evaluate import plots
from kmedtl.files import html
from kmedtl.files.csv_tables import write_csv
from kmedtl.runs.shift import Row, Shift


def write(shift: Shift, folder: Path, model: str, info: ModelInfo, notice: str, version: str) -> None:
    """Write `shift.csv`, `plots/` and the self-contained `shift.html` into `folder`.

    Args:
        model: which file was judged.
        notice: what must be said of synthetic images; empty: nothing.
    """
    table = shift.table()
    write_csv(table.assign(synthetic=bool(notice)), folder / "shift.csv")
    figures = {"severities": plots.severities(table)}
    html.write(
        folder / "shift.html",
        Path(__file__).with_name("shift.html"),
        plots=html.save_plots(figures, folder / "plots"),
        shift=shift,
        model=model,
        info=info,
        notice=notice,
        version=version,
    )


def summary(shift: Shift) -> list[str]:
    """Return a table of the summarised severity, with the mean and the worst, as lines."""
    lines = [
        f"Test set: {shift.images} images of {shift.patients} patients; severity {shift.summarised}; "
        "95 % intervals in brackets",
        f"{'':<13} {'AUC':<22}{'AUC lost':<24}{'Sensitivity':<22}Specificity",
        *(_line(row) for row in (shift.clean, *shift.at(shift.summarised))),
        f"Mean AUC lost:  {shift.mean_loss}",
        f"Worst: {shift.worst.corruption} ({shift.worst.meaning}), AUC {shift.worst.auc}, lost {shift.worst.auc_loss}",
    ]
    return [line.rstrip() for line in lines]


def _line(row: Row) -> str:
    lost = str(row.auc_loss) if row.severity else ""
    return f"  {row.corruption:<11} {row.auc!s:<22}{lost:<24}{row.sensitivity!s:<22}{row.specificity}"

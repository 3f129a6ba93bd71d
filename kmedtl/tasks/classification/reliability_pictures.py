"""Reliability diagrams, and the same in words; no TensorFlow, so that runs that only vote need none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from kmedtl.tasks.classification import probability_plots
from kmedtl.tasks.task import Picture

CAPTIONS = {
    "Reliability": "Calibration",
    "Before calibration": "Calibration of the outputs as they are",
    "After calibration": "Calibration",
}


def reliability(tables: Mapping[str, pd.DataFrame]) -> dict[str, Picture]:
    """Return the diagram after calibration, and the one before it where that differs.

    Args:
        tables: `before` and `after`, of `ClassDetails`.
    """
    before, after = tables["before"], tables["after"]
    if before.equals(after):
        return {"reliability": _reliability(after, "Reliability")}
    return {
        "reliability-before": _reliability(before, "Before calibration"),
        "reliability": _reliability(after, "After calibration"),
    }


def _reliability(table: pd.DataFrame, title: str) -> Picture:
    pairs = ", ".join(f"{row.claimed:.2f} and {row.observed:.2f} ({row.answers})" for row in _rows(table))
    words = f"{title}: claimed and observed, number of answers in brackets: {pairs}."
    return Picture(probability_plots.reliability(table, title), words, CAPTIONS[title])


def _rows(table: pd.DataFrame) -> Iterator:
    """Yield the rows by attribute; `count` would be a tuple's method."""
    return table.rename(columns={"count": "answers"}).itertuples(index=False)

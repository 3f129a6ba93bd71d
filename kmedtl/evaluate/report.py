"""One self-contained HTML page a run: figures with intervals, plots, data, parity."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from kmedtl import pages
from kmedtl.evaluate.summary import title


def split_rows(table: pd.DataFrame, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row a split: patients, images, and images of each class."""
    return [
        {
            "split": split,
            "patients": part["patient"].nunique(),
            "images": len(part),
            "classes": [int((part["label"] == label).sum()) for label in range(len(classes))],
        }
        for split, part in table.groupby("split")
    ]


def save_plots(figures: Mapping[str, Figure], folder: Path) -> dict[str, Path]:
    """Write figures as PNG into a folder; return their paths by name."""
    folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=110)
    return {name: folder / f"{name}.png" for name in figures}


def write(path: Path, plots: Mapping[str, Path], template: str = "report.html", **content: Any) -> None:
    """Write the page with the plots (PNG files) inside it; text is escaped."""
    images = {
        name: "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode() for name, file in plots.items()
    }
    pages.write(path, Path(__file__).with_name(template), plots=images, title=title, **content)

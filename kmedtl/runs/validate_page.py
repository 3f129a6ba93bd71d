"""An external validation, told: figures, predictions, a page that stands alone, and a few lines for the terminal."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from kmedtl.edge.model_info import ModelInfo
from kmedtl.files import html
from kmedtl.files.csv_tables import write_csv
from kmedtl.files.json_files import write_json
from kmedtl.runs.validate import Validation
from kmedtl.statistics.confidence import reasons
from kmedtl.system.text_tables import aligned
from kmedtl.system.titles import title


def write(found: Validation, folder: Path, model: str, info: ModelInfo, notice: str, version: str) -> None:
    """Write `validation.json`, `predictions.csv` and the self-contained `validation.html` into `folder`.

    Args:
        model: which file was judged.
        notice: the mark of synthetic images; empty: none are.
    """
    write_json(folder / "validation.json", document(found, model, notice))
    write_csv(found.table, folder / "predictions.csv")
    html.write(
        folder / "validation.html",
        Path(__file__).with_name("validate.html"),
        found=found,
        model=model,
        info=info,
        rule=[sentence for _, sentence in info.task.in_words(info.decoder)],
        title=lambda name: title(name, found.units.get(name, "")),
        address=html.address,
        notice=notice,
        version=version,
    )


def document(found: Validation, model: str, notice: str) -> dict[str, Any]:
    """Return everything but images and rows, as validation.json holds it."""
    return {
        "model": model,
        "source": found.source,
        "headline": found.headline,
        "images": found.images,
        "patients": found.patients,
        "figures": {name: asdict(figure) for name, figure in found.figures.items()},
        "shares": {name: asdict(figure) for name, figure in found.shares.items()},
        "groups": [asdict(group) for group in found.groups],
        "notes": list(found.notes),
        "synthetic": found.synthetic,
        **({"notice": notice} if notice else {}),
    }


def summary(found: Validation) -> list[str]:
    """Return the figures beside those of the run's own test, as lines."""
    header = ["", "Own test", found.source, "Difference"]
    figures = {title(name, found.units.get(name, "")): figure for name, figure in found.figures.items()}
    figures |= {f"Share of {name}": figure for name, figure in found.shares.items()}
    told = {name: (figure.own, figure.here, figure.difference) for name, figure in figures.items()}
    rows = [[f"  {name}", *(one.cell for one in row)] for name, row in told.items()]
    return [
        f"{found.source}: {found.images} images of {found.patients} patients; 95 % intervals in brackets, by patient",
        *aligned([header, *rows]),
        *reasons((name, one) for name, (*row, _) in told.items() for one in row),
        *(
            f"  {group.column} {group.value}: {title(found.headline)} {group.headline}, {group.images} images"
            for group in found.groups
        ),
        *(f"  Note: {note}" for note in found.notes),
    ]

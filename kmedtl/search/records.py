"""What each trial left, in its own folder, written whole: the table of a search is read from there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from kmedtl.files.json_files import write_json
from kmedtl.recipe import Recipe
from kmedtl.search.objective import objective_of, sign_of
from kmedtl.search.trials import Outcome

RECORD, OUTPUTS = "record.json", "outputs-{}.npz"
Status = Literal["completed", "pruned", "failed"]


@dataclass(frozen=True)
class Record:
    """A row of the table.

    Attributes:
        trial: its number, as KerasTuner counts.
        values: path → value, Hyperband's own included.
        figures, course, epochs, seconds, megabytes: of `kmedtl.search.trials.Outcome`; nothing of a failed trial.
        failure: why it failed, one line.
        worker: who carried it out.
    """

    trial: str
    status: Status
    values: dict[str, Any]
    worker: str
    figures: dict[str, float] = field(default_factory=dict)
    course: tuple[float, ...] = ()
    epochs: int = 0
    seconds: float = 0.0
    megabytes: float = 0.0
    failure: str = ""

    @property
    def is_complete(self) -> bool:
        return self.status == "completed"


def keep(record: Record, outcome: Outcome | None, folder: Path) -> None:
    """Write a trial's record into its folder, the outputs first: where there is a record, all is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, outputs in enumerate(outcome.outputs if outcome else ()):
        named: dict[str, Any] = {**outputs}
        np.savez(folder / OUTPUTS.format(number), **named)
    write_json(folder / RECORD, asdict(record))


def read(folder: Path) -> Record | None:
    """Return the record of the trial of a folder; None where it has not ended."""
    path = folder / RECORD
    if not path.exists():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    return Record(**document | {"course": tuple(document["course"])})


def read_all(trials: Path) -> list[Record]:
    """Return the records of all trials that ended, in their order."""
    found = (read(folder) for folder in sorted(trials.glob("trial_*")))
    return [record for record in found if record]


def outputs_of(record: Record, trials: Path) -> list[dict[str, np.ndarray]]:
    """Return the validation's outputs of each division."""
    folder = trials / f"trial_{record.trial}"
    found: list[dict[str, np.ndarray]] = []
    while (path := folder / OUTPUTS.format(len(found))).is_file():
        with np.load(path, allow_pickle=False) as file:
            found.append({name: file[name] for name in file.files})
    return found


def best_of(records: Sequence[Record], recipe: Recipe) -> Record | None:
    """Return the trial that is best by the search's objective, of equals the first; None where none is complete."""
    sign, objective = sign_of(recipe), objective_of(recipe)
    complete = [record for record in records if record.is_complete and np.isfinite(record.figures[objective])]
    return max(complete, key=lambda record: sign * record.figures[objective], default=None)


def table(records: Sequence[Record]) -> pd.DataFrame:
    """Return a row a trial: number, status, figures, cost, the settings by their paths, and why it failed."""
    names = list(dict.fromkeys(name for record in records for name in record.figures))
    return pd.DataFrame(
        {
            "trial": record.trial,
            "status": record.status,
            **{name: record.figures.get(name, float("nan")) for name in names},
            "epochs": record.epochs,
            "seconds": round(record.seconds, 2),
            "megabytes": round(record.megabytes),
            "worker": record.worker,
            **record.values,
            "failure": record.failure,
        }
        for record in records
    )

"""The page of a search, which stands alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import kmedtl
from kmedtl.files import html
from kmedtl.recipe import Recipe
from kmedtl.search import figures
from kmedtl.search.objective import figures_of, objective_of
from kmedtl.search.setting_importance import Importance
from kmedtl.search.space import space_of


def write(
    folder: Path,
    trials: pd.DataFrame,
    recipe: Recipe,
    found: Importance | None,
    lines: Sequence[str],
    notice: str,
    best: str,
) -> None:
    """Write `search.html` and `plots/`.

    Args:
        trials: of `kmedtl.search.records.table`.
        found: what the objective hung on, if that can be told.
        lines: of the summary.
        notice: the mark of synthetic images; empty: none are.
        best: number of the best trial.
    """
    objective, space, ways = objective_of(recipe), space_of(recipe), figures_of(recipe)
    drawn = trials[trials["status"] == "completed"]
    plots = {"parallel_coordinates": figures.parallel_coordinates(drawn, space, objective, best)}
    if found:
        plots["importance"] = figures.importances(found)
    ordered = trials.sort_values(objective, ascending=ways[objective] == "min", na_position="last")
    columns = ["trial", "status", *ways, "epochs", "seconds", *space, "failure"]
    html.write(
        folder / "search.html",
        Path(__file__).with_name("search.html"),
        name=recipe.name,
        plots=html.save_plots(plots, folder / "plots"),
        columns=columns,
        rows=[[_shown(value) for value in row] for row in ordered[columns].itertuples(index=False)],
        best=best,
        explained=found and f"{found.explained:.2f}",
        lines=lines,
        objective=objective,
        notice=notice,
        version=kmedtl.__version__,
    )


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return str(value)

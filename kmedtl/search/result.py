"""What a search found: the best recipe, run once and judged on the test, and what its choice by validation is worth."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kmedtl import recipe as recipes
from kmedtl.edge.tasks.task import Outputs
from kmedtl.errors import UserError
from kmedtl.files.csv_tables import write_csv
from kmedtl.files.json_files import write_json
from kmedtl.recipe import Recipe, Search
from kmedtl.runner import run
from kmedtl.search import page, records
from kmedtl.search.development import Development
from kmedtl.search.folder import RESULT
from kmedtl.search.objective import figures_of, objective_of, sign_of
from kmedtl.search.optimism import score_after_choice
from kmedtl.search.records import Record
from kmedtl.search.setting_importance import Importance, importance
from kmedtl.search.space import as_it_stands, recipe_of, settings_of, space_of, tier_of
from kmedtl.search.study import FEATURES, TRIALS
from kmedtl.statistics.confidence import Estimate, estimate_of
from kmedtl.system.titles import title
from kmedtl.tasks import task_of
from kmedtl.tasks.summary import no_better_than_chance
from kmedtl.tasks.task import Evaluation, Targets

BEST, WINNER = "best.yaml", "winner"


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        recipe: what was searched; `best_recipe` is what came out, without a search.
        records: a row a trial.
        best, standing: the best trial, and that of the recipe as it stands; None where the space leaves that out, or it
            failed.
        expected: the headline of validation to expect of the best on patients it was not chosen by; NaN where the
            objective is another.
        importance: of the settings; None of too few trials.
        headline: the task's figure on the test.
        test: the winner's figures on the test: name → estimate, the headline first.
        test_images, test_patients: that it was judged on.
        notice: the mark of synthetic images; empty: none are.
    """

    recipe: Recipe
    best_recipe: Recipe
    records: tuple[Record, ...]
    best: Record
    standing: Record | None
    expected: float
    importance: Importance | None
    headline: str
    test: dict[str, Estimate]
    test_images: int
    test_patients: int
    notice: str

    @property
    def objective(self) -> str:
        return objective_of(self.recipe)

    @property
    def optimism(self) -> float:
        """By how much the best validation figure flatters; NaN where `expected` is."""
        return self.best.figures[self.objective] - self.expected

    @property
    def changed(self) -> dict[str, Any]:
        """The settings of the best trial by their paths."""
        return settings_of(self.best.values)


def conclude(recipe: Recipe, data: Development, folder: Path, log: Callable[[str], None]) -> Found:
    """Run the best recipe, judge it on the test, write tables and page into the search's folder.

    Raises:
        UserError: all trials failed; the first one's error is told.
    """
    tried = records.read_all(folder / TRIALS)
    best = records.best_of(tried, recipe)
    if best is None:
        first = next((record.failure for record in tried if record.failure), "no trial was completed")
        raise UserError(f"search: all {len(tried)} trials failed, the first so: {first}")
    best_recipe = replace(recipe_of(recipe, best.values, tier_of(recipe)), search=Search())
    recipes.write(best_recipe, folder / BEST)
    chosen = "; ".join(f"{path}={_shown(value)}" for path, value in settings_of(best.values).items())
    log(f"Best of {len(tried)} trials: {best.trial} ({chosen}); it is run in full, and judged on the test once.")
    metrics = _judged(best_recipe, folder / WINNER, log)
    judged = metrics["test"]
    found = Found(
        recipe,
        best_recipe,
        tuple(tried),
        best,
        _standing(recipe, tried),
        _expected(recipe, data, tried, folder / TRIALS),
        _importance(recipe, tried),
        metrics["headline"],
        {name: estimate_of(figure) for name, figure in judged.items() if isinstance(figure, dict) and "low" in figure},
        judged["images"],
        judged["patients"],
        metrics.get("notice", ""),
    )
    _write(found, folder)
    shutil.rmtree(folder / FEATURES, ignore_errors=True)
    return found


def summary(found: Found, folder: Path) -> str:
    """Return the lines that a person reads in the terminal when the search is done."""
    counts = {status: sum(record.status == status for record in found.records) for status in ("pruned", "failed")}
    ended = "".join(f", {count} {status}" for status, count in counts.items() if count)
    best = f"{found.objective} {found.best.figures[found.objective]:.4f}"
    standing = f" (the recipe as it stands: {found.standing.figures[found.objective]:.4f})" if found.standing else ""
    lines = [
        "",
        f"{len(found.records)} trials{ended}; best {best}{standing}",
        *(f"  {path}: {_shown(value)}" for path, value in found.changed.items()),
    ]
    if not math.isnan(found.expected):
        figure = title(found.objective.removeprefix("val_"))
        lines += [
            f"Validation: {figure} {found.expected:.3f} is to be expected of other patients after this choice; the "
            f"best trial's is optimistic by {found.optimism:+.3f}"
        ]
    lines += [
        f"Test set, seen by the winner alone: {found.test_images} images of {found.test_patients} patients",
        f"  {title(found.headline):<18} {found.test[found.headline]}",
        *(f"  {sentence}" for sentence in [_chance(found)] if sentence),
        "",
        *([found.notice] if found.notice else []),
        "Research software; no clinical use is claimed.",
        f"Best recipe: {folder / BEST}",
        f"Its run:     {folder / WINNER}",
        f"Page:        {folder / 'search.html'}",
    ]
    return "\n".join(lines)


def _chance(found: Found) -> str:
    evaluation = Evaluation(found.headline, found.test, {}, {}, found.test_images, found.test_patients)
    return no_better_than_chance(evaluation, task_of(found.recipe.task).chance)


def _judged(best: Recipe, folder: Path, log: Callable[[str], None]) -> dict[str, Any]:
    """Return the metrics of the best recipe's run; it is run unless it was before the search was stopped."""
    if not folder.is_dir():
        run(best, folder, log, resume=folder.with_name(f".{folder.name}.unfinished").is_dir())
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def _standing(recipe: Recipe, tried: list[Record]) -> Record | None:
    values = as_it_stands(recipe)
    complete = (record for record in tried if record.is_complete)
    return next((record for record in complete if record.values == values), None)


def _expected(recipe: Recipe, data: Development, tried: list[Record], trials: Path) -> float:
    complete = [record for record in tried if record.is_complete]
    headline = next(iter(figures_of(recipe)))
    if objective_of(recipe) != headline or sign_of(recipe) < 0:
        return float("nan")
    tables = data.validation()
    patients = [table["patient"].to_numpy(str) for table in tables]
    outputs = [records.outputs_of(record, trials) for record in complete]
    task = task_of(recipe.task)

    def score(found: Outputs, targets: Targets) -> float:
        return next(iter(task.score(data.question, found, targets).values()))

    return score_after_choice(score, outputs, [data.targets(table) for table in tables], patients, recipe.seed)


def _importance(recipe: Recipe, tried: list[Record]) -> Importance | None:
    complete = [record for record in tried if record.is_complete]
    settings = records.table(complete)[list(space_of(recipe))]
    return importance(settings, [record.figures[objective_of(recipe)] for record in complete], recipe.seed)


def _write(found: Found, folder: Path) -> None:
    write_csv(records.table(found.records), folder / "search.csv")
    page.write(
        folder,
        records.table(found.records),
        found.recipe,
        found.importance,
        summary(found, folder).strip().splitlines(),
        found.notice,
        found.best.trial,
    )
    document = {
        **({"notice": found.notice} if found.notice else {}),
        "objective": found.objective,
        "trials": len(found.records),
        "best": asdict(found.best),
        "as_it_stands": found.standing and asdict(found.standing),
        "expected": found.expected,
        "optimism": found.optimism,
        "importance": found.importance and asdict(found.importance),
        "test": {name: asdict(figure) for name, figure in found.test.items()},
    }
    write_json(folder / RESULT, document)  # last: where it is, the search is finished


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

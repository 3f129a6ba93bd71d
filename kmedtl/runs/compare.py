"""Runs beside each other: what differs between their recipes, and what that did to the test. Imports no TensorFlow."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kmedtl import config
from kmedtl import recipe as recipes
from kmedtl.errors import UserError
from kmedtl.recipe import Recipe, without_folders
from kmedtl.statistics.agreement import McNemar, mcnemar
from kmedtl.statistics.confidence import Estimate, estimate_of, undefined
from kmedtl.tasks import saved_run, task_of
from kmedtl.tasks.predictions import PREDICTIONS, examples_of, read_arrays, read_predictions
from kmedtl.tasks.task import Examples, Task

FILES = ("recipe.yaml", "metrics.json", "predictions.csv", "manifest.csv", "history.csv", "kmedtl.json")
UNRELATED = re.compile(
    r"name|training\.(tensorboard|mlflow)|(export|search)\..*"
)  # settings that no test figure depends on
AMOUNT = re.compile(r"data\.train_limit|stages\.\d+\.epochs")  # what varies along a data-efficiency curve


@dataclass(frozen=True)
class Run:
    """A run folder, as far as it is compared.

    Attributes:
        training_images, epochs: that it trained on, and for how long in all.
        seconds: that this took, validation included; NaN where the folder does not say.
        figure: the task's headline, such as `auc`; `headline` is that of the test, and `beside` another figure of the
            task, such as the balanced accuracy.
        test, decoder: what the run said of the test images, by id, and what makes answers of it.
        right: whether each answer is right, at the run's own operating point; None where none is right or wrong.
        notice: the mark of synthetic images; empty: none are.
    """

    name: str
    recipe: Recipe
    training_images: int
    epochs: int
    seconds: float
    figure: str
    headline: Estimate
    beside: Estimate
    test: Examples
    decoder: Any
    right: np.ndarray | None
    notice: str

    @property
    def task(self) -> Task:
        return task_of(self.decoder)

    @property
    def question(self) -> Any:
        """What the run was asked."""
        return self.task.question(self.decoder)

    @property
    def unit_beside(self) -> str:
        """The unit of `beside`, or up to which distance it is measured; empty: it has none."""
        return self.task.units(self.question).get(self.task.beside, "")


@dataclass(frozen=True)
class Comparison:
    """Several runs, the first being what the others are measured by.

    Attributes:
        settings: path of a setting → its value in each run, of those that differ; None where a run has none.
        gains: of each run, the headline figure minus that of the first; None where the images are not the same.
        decisions: of each run beside the first, likewise.
    """

    runs: tuple[Run, ...]
    settings: dict[str, tuple[Any, ...]]
    gains: tuple[Estimate | None, ...]
    decisions: tuple[McNemar | None, ...]

    @property
    def notice(self) -> str:
        return next((run.notice for run in self.runs if run.notice), "")

    def table(self) -> pd.DataFrame:
        """Return a row a run: name, differing settings, counts, and each figure with the ends of its interval."""
        return pd.DataFrame(
            {
                "run": run.name,
                **{setting: values[number] for setting, values in self.settings.items()},
                "training_images": run.training_images,
                "epochs": run.epochs,
                "seconds": run.seconds,
                "test_images": len(run.test.ids),
                **_columns(run.figure, run.headline),
                **_columns(run.task.beside, run.beside),
                **({f"{run.task.beside}_unit": run.unit_beside} if run.unit_beside else {}),
                **_columns(f"{run.figure}_gain", self.gains[number]),
                **_decision_columns(self.decisions[number]),
                "synthetic": bool(run.notice),
            }
            for number, run in enumerate(self.runs)
        )

    def curves(self) -> dict[str, list[Run]]:
        """Return the runs by what they have in common but the number of images, each sorted by that number.

        Epochs belong to what they have in common only where two runs would else have the same number. Empty where all
        runs trained on equally many images.
        """
        if len({run.training_images for run in self.runs}) == 1:
            return {}
        by_amount = self._grouped([setting for setting in self.settings if not AMOUNT.fullmatch(setting)])
        numbers = [[run.training_images for run in runs] for runs in by_amount.values()]
        if any(len(set(images)) < len(images) for images in numbers):
            return self._grouped([setting for setting in self.settings if setting != "data.train_limit"])
        return by_amount

    def _grouped(self, settings: Sequence[str]) -> dict[str, list[Run]]:
        groups: dict[str, list[Run]] = {}
        for number, run in enumerate(self.runs):
            values = {setting: self.settings[setting][number] for setting in settings}
            title = ", ".join(
                f"{setting}={shown(value)}" for setting, value in values.items() if value not in (None, "")
            )
            groups.setdefault(title or "all", []).append(run)
        return {title: sorted(runs, key=lambda run: run.training_images) for title, runs in groups.items()}


def compare(folders: Sequence[Path]) -> Comparison:
    """Read run folders and compare each with the first.

    Raises:
        UserError: fewer than two, a folder twice, or one that is no finished run.
    """
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise UserError(f"compare: expected two or more different run folders. Received: {_listed(folders)}.")
    names = [folder.resolve().name for folder in folders]
    runs = tuple(
        read_run(folder, name if names.count(name) == 1 else str(folder))
        for folder, name in zip(folders, names, strict=True)
    )
    for run in runs[1:]:
        if not _alike(run, runs[0]):
            questions = " and ".join(
                f"{one.name}: {one.task.edge.in_words(one.decoder)[0][1]}" for one in (runs[0], run)
            )
            raise UserError(f"compare: expected runs that are asked the same. Received: {questions}.")
    paired = [(run, _same_images(run, runs[0])) for run in runs]
    gains = tuple(_gain(run, runs[0]) if same else None for run, same in paired)
    decisions = tuple(_decisions(run, runs[0]) if same else None for run, same in paired)
    return Comparison(runs, _differing([run.recipe for run in runs]), gains, decisions)


def read_run(folder: Path, name: str) -> Run:
    """Read what `compare` needs of a run folder, or of a folder of folds, whose tests count together.

    Raises:
        UserError: a file that is not there or cannot be read.
    """
    folds = sorted(folder.glob("fold-*"))
    for file in (part / file for part in folds or [folder] for file in FILES):
        if not file.is_file():
            raise UserError(f"{folder}: expected a finished run folder; {file} is not there.")
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        judged, headline = metrics["pooled" if folds else "test"], metrics["headline"]
        test, decoder, right = _pooled_test(folder, folds) if folds else _test(folder)
        beside = task_of(decoder).beside
        return Run(
            name,
            recipes.read(folder / "recipe.yaml"),
            round(np.mean([_training_images(part) for part in folds or [folder]])),
            round(np.mean([_epochs(part) for part in folds or [folder]])),
            float(np.mean([_seconds(part) for part in folds or [folder]])),
            headline,
            estimate_of(judged[headline]),
            estimate_of(judged[beside]) if beside in judged else undefined("not a figure of it"),
            test,
            decoder,
            right,
            metrics.get("notice", ""),
        )
    except (ValueError, KeyError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: cannot be compared, its files are not as a run wrote them ({reason}).") from None


def _test(folder: Path) -> tuple[Examples, Any, np.ndarray | None]:
    """Return the test of a run by id, its decoder, and which answers are right."""
    run = saved_run.read_run(folder)
    test, decoder = run.examples("test"), run.info.decoder
    test = test.of(np.argsort(test.ids))
    return test, decoder, run.task.right(run.question, test, decoder)


def _pooled_test(folder: Path, folds: Sequence[Path]) -> tuple[Examples, Any, np.ndarray | None]:
    """Return the pooled test of folds, whose outputs can be compared, and which answers of the folds are right."""
    parts = [_test(part) for part in folds]
    task = task_of(parts[0][1])
    question = task.question(parts[0][1])
    table = read_predictions(folder / PREDICTIONS)
    pooled = examples_of(table, read_arrays(folder, table), task, question)
    pooled = pooled.of(np.argsort(pooled.ids))
    right_by_id: dict[str, bool] = {}
    for test, _, right in parts:
        if right is None:
            return pooled, task.plain(question), None
        right_by_id |= dict(zip(test.ids, right, strict=True))
    return pooled, task.plain(question), np.array([right_by_id[name] for name in pooled.ids], bool)


def _alike(run: Run, first: Run) -> bool:
    """Tell whether two runs are asked the same, whatever scale they learned it in."""
    return (
        run.task is first.task
        and run.task.edge.header(run.task.plain(run.question))[:1]
        == first.task.edge.header(first.task.plain(first.question))[:1]
    )


def shown(value: Any) -> str:
    """Return a setting's value as a person reads it."""
    return "–" if value in (None, "") else str(value)


def _training_images(folder: Path) -> int:
    return int((pd.read_csv(folder / "manifest.csv", usecols=["split"])["split"] == "train").sum())


def _epochs(folder: Path) -> int:
    """Return the rows of the history that took time: `interpolate` leaves some that trained nothing."""
    with (folder / "history.csv").open(encoding="utf-8", newline="") as file:
        return sum(float(row.get("seconds", 1)) > 0 for row in csv.DictReader(file))


def _seconds(folder: Path) -> float:
    file = folder / "tracking.json"
    return json.loads(file.read_text(encoding="utf-8"))["seconds"] if file.is_file() else float("nan")


def _differing(found: Sequence[Recipe]) -> dict[str, tuple[Any, ...]]:
    """Return the settings that differ; of stages that train other blocks, those blocks instead of every setting."""
    flat, shown = ([config.flat(recipe) for recipe in of] for of in (found, map(without_folders, found)))
    trained = [", ".join(stage.train for stage in recipe.stages) for recipe in found]
    if len(set(trained)) > 1:
        kept = [{path: value for path, value in one.items() if not path.startswith("stages.")} for one in flat]
        flat = [one | {"stages": blocks} for one, blocks in zip(kept, trained, strict=True)]
        shown = [one | {"stages": blocks} for one, blocks in zip(shown, trained, strict=True)]
    paths = [path for path in dict.fromkeys(path for one in flat for path in one) if not UNRELATED.fullmatch(path)]
    differing = [path for path in paths if len({str(one.get(path)) for one in flat}) > 1]
    return {path: tuple(one.get(path) for one in shown) for path in differing}


def _same_images(run: Run, first: Run) -> bool:
    if list(run.test.ids) != list(first.test.ids):
        return False
    pairs = [(run.test.targets[name], first.test.targets[name]) for name in first.test.targets]
    # Masks of the same images at another size are judged each by themselves.
    return all(
        np.allclose(mine, theirs) if mine.shape == theirs.shape else mine.ndim == theirs.ndim == 4
        for mine, theirs in pairs
    )


def _gain(run: Run, first: Run) -> Estimate:
    return run.task.gain(run.question, run.test, [first.test], run.decoder, first.decoder)


def _decisions(run: Run, first: Run) -> McNemar | None:
    if run.right is None or first.right is None:
        return None
    return mcnemar(run.right, first.right, first.test.patients)


def _decision_columns(found: McNemar | None) -> dict[str, float | None]:
    values = (found.only_first, found.only_second, found.p_value) if found else (None, None, None)
    return dict(zip(("right_only_here", "right_only_in_first", "decisions_p"), values, strict=True))


def _columns(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    ends = (estimate.value, estimate.low, estimate.high) if estimate else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))


def _listed(folders: Sequence[Path]) -> str:
    return ", ".join(map(str, folders)) or "none"

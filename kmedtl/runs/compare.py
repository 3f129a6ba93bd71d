"""Runs beside each other: what differs between their recipes, and what that did to the test. Imports no TensorFlow."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kmedtl import config
from kmedtl import recipe as recipes
from kmedtl.errors import UserError
from kmedtl.evaluate.agreement import McNemar, mcnemar
from kmedtl.evaluate.confidence import Estimate, auc_loss
from kmedtl.files.csv_tables import read_csv
from kmedtl.recipe import Recipe, without_folders

FILES = ("recipe.yaml", "metrics.json", "predictions.csv", "manifest.csv", "history.csv")
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
        test: columns `id`, `patient`, `label`, `logit` of the test images, and `right`, whether the decision at the
            run's own operating point was; by id.
        notice: what must be said of synthetic images; empty: nothing.
        classes: names, the finding last.
    """

    name: str
    recipe: Recipe
    training_images: int
    epochs: int
    seconds: float
    auc: Estimate
    balanced_accuracy: Estimate
    test: pd.DataFrame
    notice: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Several runs, the first being what the others are measured by.

    Attributes:
        settings: path of a setting → its value in each run, of those that differ; None where a run has none.
        gains: of each run, AUC minus that of the first on the same images; None where they are not the same.
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
                "test_images": len(run.test),
                **_columns("auc", run.auc),
                **_columns("balanced_accuracy", run.balanced_accuracy),
                **_columns("auc_gain", self.gains[number]),
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
        if run.classes and runs[0].classes and run.classes != runs[0].classes:
            told = " and ".join(f"{one.name}: {', '.join(one.classes)}" for one in (runs[0], run))
            raise UserError(f"compare: expected runs of the same classes. Received: {told}.")
    paired = [_same_images(run, runs[0]) for run in runs]
    gains, decisions = (
        tuple(of(run, runs[0]) if same else None for run, same in zip(runs, paired, strict=True))
        for of in (_gain, _decisions)
    )
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
        _refuse_other_kinds(folder, metrics)
        judged = metrics["pooled" if folds else "test"]
        texts = dict.fromkeys(("id", "patient"), str)
        predictions = read_csv(folder / "predictions.csv", dtype=texts, keep_default_na=False)
        test = predictions if folds else predictions[predictions["split"] == "test"]
        threshold = test["threshold"] if folds else metrics["operating_point"]["threshold"]
        test = test.assign(right=(test["probability"] >= threshold) == (test["label"] == 1))
        return Run(
            name,
            recipes.read(folder / "recipe.yaml"),
            round(np.mean([_training_images(part) for part in folds or [folder]])),
            round(np.mean([_epochs(part) for part in folds or [folder]])),
            float(np.mean([_seconds(part) for part in folds or [folder]])),
            _estimate(judged["auc"]),
            _estimate(judged["balanced_accuracy"]),
            test[["id", "patient", "label", "logit", "right"]].sort_values("id", ignore_index=True),
            metrics.get("notice", ""),
            tuple(metrics.get("classes", ())),
        )
    except (ValueError, KeyError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: cannot be compared, its files are not as a run wrote them ({reason}).") from None


def _refuse_other_kinds(folder: Path, metrics: Mapping[str, Any]) -> None:
    kind = metrics.get("kind", "binary")
    if kind != "binary":
        asked = f"{kind.replace('_', ' ')}: {', '.join(metrics['classes'])}"
        raise UserError(f"{folder}: compare takes runs of a yes-or-no question. Received: {asked}.")


def shown(value: Any) -> str:
    """Return a setting's value as a person reads it."""
    return "–" if value in (None, "") else str(value)


def _estimate(written: Mapping[str, Any]) -> Estimate:
    """Return an estimate of metrics.json, where null stands for NaN."""
    return Estimate(**{name: float("nan") if value is None else value for name, value in written.items()})


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
    same = ["id", "label"]
    return run.test[same].equals(first.test[same])


def _gain(run: Run, first: Run) -> Estimate:
    labels, patients = first.test["label"].to_numpy(), first.test["patient"].to_numpy()
    return auc_loss(labels, run.test["logit"].to_numpy(), first.test["logit"].to_numpy(), patients)


def _decisions(run: Run, first: Run) -> McNemar:
    return mcnemar(run.test["right"].to_numpy(), first.test["right"].to_numpy(), first.test["patient"].to_numpy())


def _decision_columns(found: McNemar | None) -> dict[str, float | None]:
    values = (found.only_first, found.only_second, found.p_value) if found else (None, None, None)
    return dict(zip(("right_only_here", "right_only_in_first", "decisions_p"), values, strict=True))


def _columns(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    ends = (estimate.value, estimate.low, estimate.high) if estimate else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))


def _listed(folders: Sequence[Path]) -> str:
    return ", ".join(map(str, folders)) or "none"

"""The runs that an ensemble is made of: read from their folders, and refused where they cannot be judged together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kmedtl import recipe as recipes
from kmedtl.data.pseudonyms import pseudonym
from kmedtl.edge import model_info
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.tasks.classification.labels import columns
from kmedtl.errors import UserError
from kmedtl.files.csv_tables import read_csv
from kmedtl.recipe import Recipe
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions, from_table

FILES = ("recipe.yaml", "kmedtl.json", "metrics.json", "manifest.csv", "predictions.csv", "history.csv")
VOTES = "ensemble.json"  # in the folder of an ensemble: how it was made, and of which runs
TEXTS = dict.fromkeys(("id", "patient"), str)


@dataclass(frozen=True)
class Member:
    """A finished run, as far as an ensemble reads it.

    Attributes:
        predictions: of validation and test, by split and id, so that row n is the same image in all members.
        notice: what must be said of synthetic images; empty: nothing.
    """

    folder: Path
    recipe: Recipe
    info: ModelInfo
    predictions: pd.DataFrame
    notice: str

    @property
    def targets(self) -> np.ndarray:
        """What is true of each row, (N, F): 1, 0 or −1, unknown."""
        if self.info.kind == "multi_class":
            names = self.predictions["label"].astype(str).to_numpy()
            return (names[:, None] == np.array(self.info.classes)).astype(np.int8)
        return self.predictions[columns("label", self.info.kind, self.info.findings)].to_numpy(np.int8)

    @property
    def probabilities(self) -> np.ndarray:
        """What the run says of each row, calibrated, float64 (N, F)."""
        return self.predictions[columns("probability", self.info.kind, self.info.findings)].to_numpy(np.float64)


def open_members(folders: Sequence[Path]) -> tuple[Member, ...]:
    """Read the runs of an ensemble.

    Raises:
        UserError: fewer than two, a run twice, no run folder, other classes, a patient of one run's training whom
            another is judged on, other validation or test images.
    """
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        listed = ", ".join(map(str, folders)) or "none"
        raise UserError(f"ensemble: expected two or more different run folders. Received: {listed}.")
    members = tuple(map(open_member, folders))
    first = members[0]
    for member in members[1:]:
        refuse_other_classes(member.folder, member.info, first.info.classes, str(first.folder))
    for member in members:
        for other in members:
            refuse_seen(member.folder, other.predictions, str(other.folder))
    for member in members[1:]:
        _refuse_other_images(member, first)
    return members


def open_member(folder: Path) -> Member:
    """Read one run folder.

    Raises:
        UserError: no run folder, folds, or files that are not as a run wrote them.
    """
    if (folder / "fold-1").is_dir():
        raise UserError(
            f"{folder}: holds folds; each image trained a model of all folds but one, so none is left to judge their "
            "ensemble by. Expected runs that share one split, or a single fold, as RUN/fold-1."
        )
    for name in FILES:
        if not (folder / name).is_file():
            raise UserError(f"{folder}: expected a finished run folder; {folder / name} is not there.")
    info = model_info.read(folder)
    try:
        predictions = read_csv(folder / "predictions.csv", dtype=TEXTS, keep_default_na=False)
        ordered = predictions.sort_values(["split", "id"], ignore_index=True)
        member = Member(folder, recipes.read(folder / "recipe.yaml"), info, ordered, _notice(folder))
        if not (np.isin(member.targets, (-1, 0, 1)).all() and np.isfinite(member.probabilities).all()):
            raise ValueError("a label or probability that cannot be")
    except (ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: its files are not as a run wrote them ({reason}); run it again.") from None
    return member


def answers(table: pd.DataFrame, info: ModelInfo, split: str) -> LabelledPredictions:
    """Return a split of a table of predictions as what evaluation reads, decided at the operating point of `info`."""
    found = from_table(table, info.source, split, info.thresholds or None)
    return replace(found, classes=info.classes, findings=info.findings)


def read_votes(folder: Path) -> dict[str, Any] | None:
    """Return `method`, `weights` and `members` of an ensemble's folder; None where it is a single run.

    Raises:
        UserError: a file that is not as an ensemble wrote it.
    """
    path = folder / VOTES
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {name: document[name] for name in ("method", "weights", "members")}
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not as an ensemble wrote it; make the ensemble again.") from None


def trained_on(folder: Path) -> frozenset[str]:
    """Return the pseudonyms of all patients who taught a run: its own, and those of the runs that it was made of.

    Raises:
        UserError: the folder, or that of a run that it was made of, is not there any more.
    """
    try:
        table = read_csv(folder / "manifest.csv", usecols=["patient", "split"], dtype=str, keep_default_na=False)
    except (OSError, ValueError):
        raise UserError(
            f"{folder}: expected a run folder whose manifest.csv says who it was trained on; it cannot be read."
        ) from None
    votes, recipe = read_votes(folder), recipes.read(folder / "recipe.yaml")
    taught_by = [*(votes["members"] if votes else ()), *recipe.soup, *([recipe.distill] if recipe.distill else [])]
    own = frozenset(map(pseudonym, table.loc[table["split"] == "train", "patient"].unique()))
    return own.union(*(trained_on(Path(other)) for other in taught_by))


def refuse_seen(folder: Path, judged: pd.DataFrame, judge: str) -> None:
    """Refuse a run that was trained on a patient whom it would be judged by.

    Args:
        judged: rows of validation and test with `patient`.
        judge: whose they are, for the message.

    Raises:
        UserError: how many there are, and the pseudonym of one.
    """
    seen = sorted(trained_on(folder).intersection(map(pseudonym, judged["patient"].unique())))
    if seen:
        raise UserError(
            f"{folder}: was trained on {len(seen)} patients of the validation or test of {judge}, first: {seen[0]}; "
            "the test would measure memory. Give both one split: kmedtl run … --data RUN/manifest.csv."
        )


def refuse_other_classes(folder: Path, info: ModelInfo, classes: Sequence[str], whose: str) -> None:
    """Refuse a run that answers another question.

    Raises:
        UserError: both lists of classes.
    """
    if info.classes != tuple(classes):
        raise UserError(
            f"{folder}: expected the classes of {whose}, {', '.join(classes)}. Received: {', '.join(info.classes)}."
        )


def _refuse_other_images(member: Member, first: Member) -> None:
    mine, theirs = (run.predictions.set_index(["split", "id"]) for run in (member, first))
    apart = mine.index.symmetric_difference(theirs.index)
    if len(apart):
        raise UserError(
            f"{member.folder}: expected the validation and test images of {first.folder}; {len(apart)} are of one of "
            f"them only, first: {apart[0][1]}. Give both one split: kmedtl run … --data {first.folder}/manifest.csv."
        )
    other = (member.targets != first.targets).any(axis=1)
    if other.any():
        named = first.predictions.loc[other, "id"].iloc[0]
        raise UserError(f"{member.folder}: {named}: its label is another one in {first.folder}; correct one of them.")


def _notice(folder: Path) -> str:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8")).get("notice", "")

"""The runs that an ensemble is made of: read from their folders, and refused where they cannot be judged together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kmedtl import recipe as recipes
from kmedtl.data.pseudonyms import pseudonym
from kmedtl.errors import UserError
from kmedtl.files.csv_tables import read_csv
from kmedtl.files.names import UNLABELLED
from kmedtl.tasks.saved_run import SavedRun, read_run

FILES = ("recipe.yaml", "kmedtl.json", "metrics.json", "manifest.csv", "predictions.csv", "history.csv")
VOTES = "ensemble.json"  # in the folder of an ensemble: how it was made, and of which runs


@dataclass(frozen=True)
class Member(SavedRun):
    """A finished run, as far as an ensemble reads it.

    Attributes:
        predictions, arrays: by split and id, so that row n is the same image in all members.
        notice: the mark of synthetic images; empty: none are.
    """

    notice: str


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
        refuse_other_question(member.folder, member.question, first.question, str(first.folder))
    for member in members:
        for other in members:
            refuse_seen(member.folder, other.predictions, str(other.folder))
    for member in members[1:]:
        _refuse_other_images(member, first)
    return members


def open_member(folder: Path) -> Member:
    """Read one run folder.

    Raises:
        UserError: no run folder, folds, files that are not as a run wrote them, or a model that takes fields.
    """
    if (folder / "fold-1").is_dir():
        raise UserError(
            f"{folder}: holds folds; each image trained a model of all folds but one, so none is left to judge their "
            "ensemble by. Expected runs that share one split, or a single fold, as RUN/fold-1."
        )
    for name in FILES:
        if not (folder / name).is_file():
            raise UserError(f"{folder}: expected a finished run folder; {folder / name} is not there.")
    try:
        saved = read_run(folder)
        ordered = saved.predictions.sort_values(["split", "id"])
        arrays = {name: array[ordered.index] for name, array in saved.arrays.items()}
        table = ordered.reset_index(drop=True)
        member = Member(folder, saved.recipe, saved.info, table, arrays, _notice(folder))
        member.examples()  # which refuses labels and outputs that cannot be
    except (ValueError, LookupError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: its files are not as a run wrote them ({reason}); run it again.") from None
    if saved.info.slices:
        raise UserError(f"{folder}: answers whole volumes or examinations, which ensembles and soups cannot use yet.")
    if saved.info.fields:
        named = ", ".join(field.name for field in saved.info.fields)
        raise UserError(f"{folder}: takes fields beside the image ({named}), which ensembles and soups cannot use yet.")
    return member


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
    began_with = filter(None, (recipe.distill, recipe.update.run))
    taught_by = {*(votes["members"] if votes else ()), *recipe.soup, *began_with}
    own = frozenset(
        map(
            pseudonym,
            [*table.loc[table["split"] == "train", "patient"].unique(), *learned_without_labels(folder, "patient")],
        )
    )
    return own.union(*(trained_on(Path(other)) for other in taught_by))


def learned_without_labels(folder: Path, column: str) -> list[str]:
    """Return the values of a column, such as `patient`, of the images that taught a run without labels.

    Raises:
        UserError: the file of them is not as a run wrote it.
    """
    path = folder / UNLABELLED
    if not path.is_file():
        return []
    try:
        return read_csv(path, usecols=[column], dtype=str, keep_default_na=False)[column].unique().tolist()
    except (OSError, ValueError):
        raise UserError(f"{path}: not as a run wrote it; run it again.") from None


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


def refuse_other_question(folder: Path, asked: Any, expected: Any, whose: str) -> None:
    """Refuse a run that answers another question.

    Raises:
        UserError: both questions.
    """
    if asked != expected:
        raise UserError(
            f"{folder}: expected what is asked of {whose}: {_in_words(expected)}. Received: {_in_words(asked)}."
        )


def _in_words(question: Any) -> str:
    """Return the settings of a question, such as the names of its classes."""
    settings = [getattr(question, field.name) for field in fields(question)]
    return "; ".join(", ".join(map(str, part)) if isinstance(part, tuple) else str(part) for part in settings if part)


def _refuse_other_images(member: Member, first: Member) -> None:
    mine, theirs = (run.predictions.set_index(["split", "id"]) for run in (member, first))
    apart = mine.index.symmetric_difference(theirs.index)
    if len(apart):
        raise UserError(
            f"{member.folder}: expected the validation and test images of {first.folder}; {len(apart)} are of one of "
            f"them only, first: {apart[0][1]}. Give both one split: kmedtl run … --data {first.folder}/manifest.csv."
        )
    ours, known = (run.examples().targets for run in (member, first))
    for name in ours:
        if ours[name].shape != known[name].shape:
            sizes = " and ".join("×".join(map(str, one[name].shape[1:])) for one in (known, ours))
            raise UserError(
                f"{member.folder}: expected outputs as large as those of {first.folder}. Received: {sizes}; train both "
                "with one data.size."
            )
    other = np.any([(ours[name] != known[name]).reshape(len(ours[name]), -1).any(axis=1) for name in ours], axis=0)
    if other.any():
        named = first.predictions.loc[other, "id"].iloc[0]
        raise UserError(f"{member.folder}: {named}: its label is another one in {first.folder}; correct one of them.")


def _notice(folder: Path) -> str:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8")).get("notice", "")

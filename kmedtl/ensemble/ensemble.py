"""Runs that vote: made one from what each said of the same images, and judged as a run is. Imports no TensorFlow."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import kmedtl
from kmedtl import recipe as recipes
from kmedtl.edge import model_info
from kmedtl.edge.model_info import ModelInfo
from kmedtl.ensemble import page
from kmedtl.ensemble.member_comparison import MemberComparison, member_comparisons
from kmedtl.ensemble.members import VOTES, Member, open_members
from kmedtl.errors import UserError
from kmedtl.files.csv_tables import write_csv
from kmedtl.files.json_files import write_json
from kmedtl.recipe import Recipe
from kmedtl.tasks.predictions import write_predictions
from kmedtl.tasks.task import Arrays, Evaluation, Examples, Fit, Task, Vote


@dataclass(frozen=True)
class Ensemble:
    """Runs that vote, and what the test says of them.

    Attributes:
        method, weights: how, and how much each member counts.
        recipe: of the first run, under a name that says the method; it tells how the ensemble is judged.
        predictions, arrays: as of a run; an output is what the members say together.
        fit, evaluation: what validation chose, and what the test says.
        beside: each member beside the ensemble, on the same test images.
    """

    members: tuple[Member, ...]
    method: str
    weights: tuple[float, ...]
    recipe: Recipe
    info: ModelInfo
    predictions: pd.DataFrame
    arrays: Arrays
    fit: Fit
    evaluation: Evaluation
    beside: tuple[MemberComparison, ...]

    @property
    def task(self) -> Task:
        return self.members[0].task

    @property
    def notice(self) -> str:
        return next((member.notice for member in self.members if member.notice), "")


def ensemble(folders: Sequence[Path], method: str) -> Ensemble:
    """Let runs vote.

    Validation chooses the weights and the decoder, as the first run's recipe asks; the test only judges. Where weights
    are chosen, the validation outputs are each from weights chosen without that patient.

    Raises:
        UserError: runs that cannot be judged together, see `kmedtl.ensemble.members.open_members`; a task whose models
            cannot vote so.
    """
    members = open_members(folders)
    first = members[0]
    vote, task, question = _vote(first, method), first.task, first.question
    recipe = replace(first.recipe, name=f"{first.recipe.name}-{method}")
    validation = (first.predictions["split"] == "val").to_numpy()
    decoders = [member.info.decoder for member in members]
    every = [member.examples() for member in members]
    outputs, weights = vote.fit(question, method, every, decoders, validation, recipe.seed)
    together = replace(every[0], outputs=outputs)
    test = together.of(~validation)
    fit = task.fit_decoder(question, recipe.evaluation, together.of(validation), recipe.seed)
    evaluation = task.evaluate(question, recipe.evaluation, test, fit, recipe.seed)
    info = replace(
        first.info,
        decoder=fit.decoder,
        recipe=recipe.name,
        kmedtl=kmedtl.__version__,
        synthetic=any(member.info.synthetic for member in members),
        out_of_distribution=None,  # each member has its own; the table holds what most of them say
        validation=None,
        metrics={},
        parity={},
    )
    beside = member_comparisons(members, test, fit.decoder, recipe.evaluation)
    predictions, arrays = _predictions(members, together, fit), task.arrays(question, together)
    return Ensemble(members, method, tuple(weights), recipe, info, predictions, arrays, fit, evaluation, beside)


def _vote(member: Member, method: str) -> Vote:
    vote = member.task.vote
    if vote is None or method not in vote.methods:
        known = ", ".join(vote.methods) if vote else "none"
        raise UserError(
            f"--method: expected one by which runs of the task {member.info.decoder.kind} can vote ({known}). "
            f"Received: {method}."
        )
    return vote


def _predictions(members: Sequence[Member], together: Examples, fit: Fit) -> pd.DataFrame:
    """Return the first run's table with what the members say together in the place of what it said."""
    first = members[0]
    columns = first.task.table(first.question, together, fit.decoder)
    table = first.predictions.drop(columns=[name for name in columns if name in first.predictions])
    table = pd.concat([table, columns], axis=1)
    unlike = [run.predictions["unlike_training"].to_numpy() for run in members if "unlike_training" in run.predictions]
    return table.assign(unlike_training=(np.mean(unlike, axis=0) > 0.5).astype(int)) if unlike else table


def write(made: Ensemble, folder: Path) -> None:
    """Write what a run folder holds, but for models: `ensemble.json` says which runs have them."""
    recipes.write(made.recipe, folder / "recipe.yaml")
    write_predictions(made.predictions, made.arrays, folder)
    shutil.copyfile(made.members[0].folder / "manifest.csv", folder / "manifest.csv")
    write_csv(_history(made.members), folder / "history.csv")
    write_json(folder / "metrics.json", _metrics(made))
    write_json(folder / VOTES, _votes(made))
    model_info.attach(made.info, folder)
    words = made.task.vote.methods[made.method] if made.task.vote else made.method
    page.write(made.recipe, made.task, words, made.beside, made.fit, made.evaluation, made.notice, folder)


def summary(made: Ensemble, folder: Path) -> list[str]:
    """Return the lines that a person reads in the terminal."""
    evaluation = made.evaluation
    return [
        f"{made.method} of {len(made.members)} runs: {evaluation.images} test images of {evaluation.patients} "
        "patients; 95 % intervals in brackets",
        *made.task.lines(made.recipe.evaluation, made.fit, evaluation),
        "",
        *page.lines(made.beside),
        "",
        *([made.notice] if made.notice else []),
        "Research software; no clinical use is claimed.",
        f"Run folder: {folder}",
        f"Report:     {folder / 'report.html'}",
    ]


def _history(members: Sequence[Member]) -> pd.DataFrame:
    """Return the epochs of all members, since the ensemble cost them all; of runs that trained none, no rows."""
    tables = []
    for member in members:
        file = member.folder / "history.csv"
        if file.read_text(encoding="utf-8").strip():
            tables.append(pd.read_csv(file).assign(member=str(member.folder)))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _metrics(made: Ensemble) -> dict[str, Any]:
    marking = {"synthetic": True, "notice": made.notice} if made.notice else {"synthetic": False}
    return {
        **marking,
        "task": made.info.decoder.kind,
        "headline": made.evaluation.headline,
        **made.task.document(made.fit, made.evaluation),
        "ensemble": {**_votes(made), "standings": [asdict(one) for one in made.beside]},
    }


def _votes(made: Ensemble) -> Mapping[str, Any]:
    members = [str(member.folder.resolve()) for member in made.members]
    return {"method": made.method, "weights": made.weights, "members": members, "kmedtl": kmedtl.__version__}

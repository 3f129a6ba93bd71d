"""What all trials of a search have in common, and how one of them is carried out and kept, whoever gave it out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from kmedtl.errors import UserError
from kmedtl.export.provenance import hashes
from kmedtl.recipe import Recipe
from kmedtl.search import records
from kmedtl.search.development import Development, development
from kmedtl.search.folder import check_images
from kmedtl.search.process import TrialError, TrialProcess
from kmedtl.search.records import Record
from kmedtl.search.space import recipe_of, settings_of, space_of, tier_of
from kmedtl.search.trials import Job, Outcome

FEATURES, LOG, TRIALS, TENSORBOARD = "features", "trials-{}.log", "trials", "tensorboard"


@dataclass(frozen=True)
class Study:
    """What all trials of a search have in common.

    Attributes:
        recipe, development: what is varied, and the images.
        folder: of the search; KerasTuner's own files and the records are in `trials/`, scalars and hyperparameters for
            TensorBoard in `tensorboard/`.
    """

    recipe: Recipe
    development: Development
    folder: Path


def study_of(recipe: Recipe, folder: Path) -> Study:
    """Return the search in that folder with the images that its trials may see, the same for everybody who takes part.

    Raises:
        UserError: what a run refuses; other images than those that the search began with.
    """
    data = development(recipe)
    check_images(folder, hashes(recipe, data.manifest.table)["data_hash"])
    return Study(recipe, data, folder)


def carry_out(study: Study, trial: str, values: Mapping[str, Any], process: TrialProcess, worker: str) -> Record:
    """Carry out a trial in a process of its own, and keep its record; a failure is recorded as well.

    A search that died between a trial's record and its own note gives the trial out again: its record holds.
    """
    ordered = _ordered(study, values)
    kept = records.read(_place(study, trial))
    if kept and kept.values == ordered and not kept.failure:
        return kept
    outcome, failure = None, ""
    try:
        outcome = process.carry_out(_job(study, trial, ordered))
    except (TrialError, UserError) as error:
        failure = str(error)
    record = _record(trial, ordered, outcome, failure, worker)
    if outcome and study.recipe.training.tensorboard:
        _log(record, study.folder / TENSORBOARD / trial)
    records.keep(record, outcome, _place(study, trial))
    for path in _place(study, trial).glob("fold-*"):  # the states of a trial that ended
        shutil.rmtree(path)
    return record


def log_of(folder: Path, worker: str) -> Path:
    """Return where a worker's trials print."""
    return folder / LOG.format(worker)


def _ordered(study: Study, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values in the order of the space, which a message does not keep."""
    return {path: values[path] for path in space_of(study.recipe)} | dict(values)


def _job(study: Study, trial: str, values: dict[str, Any]) -> Job:
    tier = tier_of(study.recipe)
    varied = recipe_of(study.recipe, values, tier)
    by_median = study.recipe.search.prune == "median" and study.recipe.search.tuner != "hyperband"
    earlier = records.read_all(study.folder / TRIALS) if by_median else []
    courses = tuple(record.course for record in earlier if record.course)
    return Job(varied, study.development, tier, study.folder / FEATURES, _place(study, trial), courses)


def _place(study: Study, trial: str) -> Path:
    return study.folder / TRIALS / f"trial_{trial}"


def _record(trial: str, values: dict[str, Any], outcome: Outcome | None, failure: str, worker: str) -> Record:
    if outcome is None:
        return Record(trial, "failed", values, worker, failure=failure)
    found = {name: value for name, value in asdict(outcome).items() if name not in ("pruned", "outputs")}
    return Record(trial, "pruned" if outcome.pruned else "completed", values, worker, **found)


def _log(record: Record, folder: Path) -> None:
    """Write the trial for TensorBoard's HParams."""
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default(step=record.epochs):
        hparams.hparams(settings_of(record.values), trial_id=record.trial)
        for name, value in record.figures.items():
            tf.summary.scalar(name, value)
    writer.close()

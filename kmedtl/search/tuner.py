"""KerasTuner's `Tuner`, whose trials are recipes carried out in a process of their own."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras_tuner
import tensorflow as tf
from keras_tuner.engine.trial import Trial
from tensorboard.plugins.hparams import api as hparams

from kmedtl.errors import UserError
from kmedtl.recipe import Recipe
from kmedtl.search import records
from kmedtl.search.development import Development
from kmedtl.search.process import TrialError, TrialProcess
from kmedtl.search.records import Record
from kmedtl.search.space import recipe_of, settings_of, space_of, tier_of
from kmedtl.search.trials import Job, Outcome

FEATURES, LOG, TRIALS, TENSORBOARD = "features", "trials-{}.log", "trials", "tensorboard"


class RecipeTuner(keras_tuner.Tuner):
    """Carries out the trials that an oracle gives out, and keeps a record of each.

    Args:
        recipe, development: what is varied, and the images.
        folder: of the search; KerasTuner's own files and the records are in `trials/`, scalars and hyperparameters for
            TensorBoard in `tensorboard/`.
        process: carries out the trials; None: this tuner gives them out alone.
        begin, end: called before a trial is asked for, and with the record of each that ended.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        recipe: Recipe,
        development: Development | None,
        folder: Path,
        process: TrialProcess | None,
        begin: Callable[[], None] = lambda: None,
        end: Callable[[Record], None] = lambda record: None,
    ) -> None:
        self.recipe, self.development, self.folder, self.process = recipe, development, folder, process
        self._begin, self._end = begin, end
        with contextlib.redirect_stdout(None):  # it says that it goes on, in its own words
            super().__init__(oracle, directory=str(folder), project_name=TRIALS)

    def pre_create_trial(self) -> None:
        """See that there is somebody to ask for a trial."""
        self._begin()

    def run_trial(self, trial: Trial, *arguments: Any, **settings: Any) -> dict[str, float]:
        """Carry out a trial; return its figures.

        Raises:
            FailedTrialError: it failed, which is recorded and does not end the search.
        """
        values, outcome, failure = self._ordered(trial.hyperparameters.values), None, ""
        try:
            outcome = self.process.carry_out(self._job(trial.trial_id, values))
        except (TrialError, UserError) as error:
            failure = str(error)
        record = _record(trial.trial_id, values, outcome, failure, self.tuner_id)
        records.keep(record, outcome, self._place(trial.trial_id))
        self._clear(trial.trial_id)
        if outcome and self.recipe.training.tensorboard:
            _log(record, self.folder / TENSORBOARD / trial.trial_id)
        self._end(record)
        if failure:
            raise keras_tuner.errors.FailedTrialError(failure)
        return outcome.figures

    def _ordered(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values in the order of the space, which a chief's message does not keep."""
        return {path: values[path] for path in space_of(self.recipe)} | values

    def _job(self, trial: str, values: dict[str, Any]) -> Job:
        tier = tier_of(self.recipe)
        varied = recipe_of(self.recipe, values, tier)
        by_median = self.recipe.search.prune == "median" and self.recipe.search.tuner != "hyperband"
        earlier = records.read_all(self.folder / TRIALS) if by_median else []
        courses = tuple(record.course for record in earlier if record.course)
        return Job(varied, self.development, tier, self.folder / FEATURES, self._place(trial), courses)

    def _place(self, trial: str) -> Path:
        return self.folder / TRIALS / f"trial_{trial}"

    def _clear(self, trial: str) -> None:
        """Remove the states of a trial that ended."""
        for path in self._place(trial).glob("fold-*"):
            shutil.rmtree(path)


def log_of(folder: Path, worker: str) -> Path:
    """Return where a worker's trials print."""
    return folder / LOG.format(worker)


def _record(trial: str, values: dict[str, Any], outcome: Outcome | None, failure: str, worker: str) -> Record:
    if outcome is None:
        return Record(trial, "failed", values, worker, failure=failure)
    found = {name: value for name, value in asdict(outcome).items() if name not in ("pruned", "logits")}
    return Record(trial, "pruned" if outcome.pruned else "completed", values, worker, **found)


def _log(record: Record, folder: Path) -> None:
    """Write the trial for TensorBoard's HParams."""
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default(step=record.epochs):
        hparams.hparams(settings_of(record.values), trial_id=record.trial)
        for name, value in record.figures.items():
            tf.summary.scalar(name, value)
    writer.close()

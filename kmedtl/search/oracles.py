"""KerasTuner's oracles, which begin with the recipe as it stands and end when the time is up."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus
from sklearn.exceptions import ConvergenceWarning

from kmedtl.files.json_files import write_json
from kmedtl.recipe import Recipe
from kmedtl.search.objective import figures_of, objective_of
from kmedtl.search.space import as_it_stands, declare, most_epochs, tier_of

LOSSES = 3  # how often a trial is given out again whose worker was lost


class _Bounded(keras_tuner.Oracle):
    """Gives out the recipe's own values first, so that the search knows what it is to beat, and nothing after an hour.

    Mix it in before an oracle.
    """

    def __init__(self, *, first: dict[str, Any] | None, hours: float, **settings: Any) -> None:
        super().__init__(**settings)
        self._first = first
        self._end = time.monotonic() + 3600 * hours if hours else float("inf")

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of the next trial."""
        if not self.start_order and self._first is not None:
            return {"status": TrialStatus.RUNNING, "values": self._first}
        if self.start_order and time.monotonic() > self._end:
            return {"status": TrialStatus.STOPPED}
        return super().populate_space(trial_id)

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str) -> Trial:
        """Return the next trial; an idle one while others are at work, since a lost worker's trial is given out again.

        KerasTuner would send a worker away as soon as each trial was given out once.
        """
        trial = super().create_trial(tuner_id)
        if trial.status == TrialStatus.STOPPED and self.ongoing_trials:
            trial.status = TrialStatus.IDLE
            self.tuner_ids.add(tuner_id)
        return trial

    def save(self) -> None:
        """Write the state, the whole or nothing: KerasTuner leaves half a file where it is killed meanwhile."""
        write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial: Trial) -> None:
        write_json(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())


class Random(_Bounded, keras_tuner.oracles.RandomSearchOracle):
    """Draws from the space."""


class Bayesian(_Bounded, keras_tuner.oracles.BayesianOptimizationOracle):
    """Draws three trials a dimension, then goes where a Gaussian process hopes for most."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of the next trial."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a setting that matters little has no length scale
            return super().populate_space(trial_id)


class Hyperband(_Bounded, keras_tuner.oracles.HyperbandOracle):
    """Short trials first; of each three the best is trained anew for three times as long."""


class _Combinations(keras_tuner.Oracle):
    """Every combination, in order; a range counts with ten values.

    KerasTuner's own grid forgets where it was when a search goes on.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of the next trial that was not tried yet."""
        names = [parameter.name for parameter in self.hyperparameters.space]
        for values in itertools.product(*(sorted(parameter.values) for parameter in self.hyperparameters.space)):
            named = dict(zip(names, values, strict=True))
            if all(trial.hyperparameters.values != named for trial in self.trials.values()):
                return {"status": TrialStatus.RUNNING, "values": named}
        return {"status": TrialStatus.STOPPED}


class Grid(_Bounded, _Combinations):
    """Every combination of the values, in order."""


ORACLES: dict[str, Callable[..., keras_tuner.Oracle]] = {
    "random": Random,
    "bayesian": Bayesian,
    "hyperband": Hyperband,
    "grid": Grid,
}


def oracle_of(recipe: Recipe) -> keras_tuner.Oracle:
    """Return the oracle that a recipe's search names."""
    search, objective = recipe.search, objective_of(recipe)
    space = keras_tuner.HyperParameters()
    declare(recipe, space)
    settings: dict[str, Any] = {}
    if search.tuner == "hyperband":
        settings = {
            "max_epochs": max(2, most_epochs(recipe, tier_of(recipe))),
            "hyperband_iterations": search.trials,  # `max_trials` ends it
        }
    made = ORACLES[search.tuner](
        first=as_it_stands(recipe),
        hours=search.hours,
        objective=keras_tuner.Objective(objective, figures_of(recipe)[objective]),
        hyperparameters=space,
        seed=recipe.seed,
        max_retries_per_trial=LOSSES,
        max_consecutive_failed_trials=search.trials + 1,  # never: it would end the search
        **settings,
    )
    made.max_trials = search.trials  # Hyperband takes none when it is made
    return made

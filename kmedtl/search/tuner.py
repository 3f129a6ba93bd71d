"""KerasTuner's `Tuner`, whose trials are recipes carried out in a process of their own."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial

from kmedtl.files.json_files import write_json
from kmedtl.search.process import TrialProcess
from kmedtl.search.records import Record
from kmedtl.search.study import TRIALS, Study, carry_out

PAUSE = 2.0  # seconds before a trial is asked for again where none was given


class RecipeTuner(keras_tuner.Tuner):
    """Carries out the trials that an oracle gives out.

    Args:
        process: carries out the trials; None: this tuner gives them out alone.
        begin, end: called before a trial is asked for, and with the record of each that ended.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        study: Study,
        process: TrialProcess | None,
        begin: Callable[[], None] = lambda: None,
        end: Callable[[Record], None] = lambda record: None,
    ) -> None:
        self.study, self.process = study, process
        self._begin, self._end = begin, end
        self._idle = False
        with contextlib.redirect_stdout(io.StringIO()):  # it says that it goes on, in its own words
            super().__init__(oracle, directory=str(study.folder), project_name=TRIALS)

    def pre_create_trial(self) -> None:
        """See that there is somebody to ask for a trial."""
        if self._idle:
            time.sleep(PAUSE)
        self._idle = True
        self._begin()

    def save(self) -> None:
        """Write the state, the whole or nothing."""
        if not self._is_worker():
            self.oracle.save()
        write_json(Path(self._get_tuner_fname()), self.get_state())

    def run_trial(self, trial: Trial, *arguments: Any, **settings: Any) -> dict[str, float]:
        """Carry out a trial; return its figures.

        Raises:
            FailedTrialError: it failed, which is recorded and does not end the search.
        """
        assert self.process is not None  # only a tuner that has one is asked for trials
        self._idle = False
        record = carry_out(self.study, trial.trial_id, trial.hyperparameters.values, self.process, self.tuner_id)
        self._end(record)
        if record.failure:
            raise keras_tuner.errors.FailedTrialError(record.failure)
        return record.figures

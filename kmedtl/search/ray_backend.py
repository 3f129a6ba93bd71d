"""A search whose trials Ray Tune carries out, on this machine or on a cluster; KerasTuner's oracle says which.

Ray is an optional dependency (`pip install 'kmedtl[ray]'`): import this module only where a search asks for it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras_tuner
import ray
from keras_tuner.engine.trial import Trial, TrialStatus
from ray import tune
from ray.tune.search import ConcurrencyLimiter, Searcher

from kmedtl.errors import UserError
from kmedtl.recipe import Recipe
from kmedtl.search.distributed import REACH
from kmedtl.search.process import TrialProcess
from kmedtl.search.records import Record
from kmedtl.search.study import Study, carry_out, log_of, study_of
from kmedtl.search.tuner import RecipeTuner

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray would send figures about its use to its makers
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the records say all
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends a search here as everywhere
}
OWN = "ray"  # folder of what Ray keeps while it searches


def check_address(address: str) -> None:
    """See that somebody listens at an address that names host and port; Ray itself would try for minutes.

    Raises:
        UserError: nobody does.
    """
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if not host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=REACH).close()
    except (OSError, ValueError) as error:
        raise UserError(_unreachable(address, error)) from None


def carry_out_all(
    oracle: keras_tuner.Oracle, study: Study, address: str, workers: int, end: Callable[[Record], None]
) -> None:
    """Carry out all trials of a search.

    Args:
        address: `local` starts Ray on this machine; else of a cluster that runs, as `ray.init` takes it.
        workers: trials at a time; 0: one a machine.
        end: called with the record of each trial that ended.

    Raises:
        UserError: the cluster cannot be reached, or a machine of it has other images.
    """
    with _connected(address), _own_folder(study.folder):
        machines = [machine["Resources"] for machine in ray.nodes() if machine["Alive"]]
        workers = workers or len(machines)
        searcher = _OracleSearcher(oracle, study, end)
        trainable = tune.with_parameters(_TrialWorker, recipe=study.recipe, folder=study.folder)
        tune.Tuner(
            tune.with_resources(trainable, _share(machines, workers)),
            tune_config=tune.TuneConfig(
                search_alg=ConcurrencyLimiter(searcher, workers), num_samples=-1, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                name=OWN,
                storage_path=str(study.folder.resolve()),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # a trial is one step
                verbose=0,
            ),
        ).fit()
    if searcher.refusal:
        raise UserError(searcher.refusal)


@contextlib.contextmanager
def _own_folder(folder: Path) -> Iterator[None]:
    """Have nothing stay of what Ray keeps: the search goes on from its records and the oracle's state."""
    shutil.rmtree(folder / OWN, ignore_errors=True)  # of a search that was killed
    try:
        yield
    finally:
        shutil.rmtree(folder / OWN, ignore_errors=True)


@contextlib.contextmanager
def _connected(address: str) -> Iterator[None]:
    os.environ.update(ENVIRONMENT)
    try:
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(_unreachable(address, error)) from None
    try:
        yield
    finally:
        ray.shutdown()


def _unreachable(address: str, error: Exception) -> str:
    return (
        f"--ray {address}: Ray cannot be reached ({str(error).splitlines()[0]}); give the address of a cluster that "
        "runs, or local."
    )


def _share(machines: list[dict[str, float]], workers: int) -> dict[str, float]:
    """Return what a trial takes of a machine, so that as many as asked for go on at a time."""
    on_each = -(-workers // len(machines))
    least = {name: min(machine.get(name, 0.0) for machine in machines) for name in ("CPU", "GPU")}
    return {"cpu": max(1.0, least["CPU"] // on_each), "gpu": least["GPU"] / on_each}


class _OracleSearcher(Searcher):
    """Hands the oracle's trials to Ray, and Ray's results to the oracle.

    Attributes:
        refusal: why a machine cannot take part, which ends the search; empty: none.
    """

    def __init__(self, oracle: keras_tuner.Oracle, study: Study, end: Callable[[Record], None]) -> None:
        super().__init__()
        RecipeTuner(oracle, study, process=None)  # has the oracle keep its state in the folder, and go on from there
        self._oracle, self._end = oracle, end
        self._trials: dict[str, Trial] = {}
        self.refusal = ""

    # Ray's own annotation leaves out that `FINISHED`, a text, may be returned.
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Return the next trial; None: none as yet."""
        if self.refusal:
            return Searcher.FINISHED
        trial = self._oracle.create_trial(trial_id)
        if trial.status == TrialStatus.STOPPED:
            return Searcher.FINISHED
        if trial.status == TrialStatus.IDLE:
            return None
        self._trials[trial_id] = trial
        return {"trial": trial.trial_id, "values": trial.hyperparameters.values}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the oracle what a trial found; one whose worker was lost is given out again."""
        trial, found = self._trials.pop(trial_id), result or {}
        record: Record | None = found.get("record")
        self.refusal = self.refusal or found.get("refusal", "")
        if record is None:
            trial.status = TrialStatus.INVALID
        elif record.failure:
            trial.status, trial.message = TrialStatus.FAILED, record.failure
        else:
            self._oracle.update_trial(trial.trial_id, record.figures)
            trial.status = TrialStatus.COMPLETED
        with contextlib.redirect_stdout(io.StringIO()):  # KerasTuner would say so on a line of its own
            self._oracle.end_trial(trial)
        if record:
            self._end(record)


class _TrialWorker(tune.Trainable):
    """Carries out one trial after the other, wherever Ray put it."""

    # What follows `config` is given by `tune.with_parameters`.
    def setup(self, config: dict[str, Any], recipe: Recipe, folder: Path) -> None:  # type: ignore[override]
        """Read the images, once for all trials."""
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._refusal = ""
        try:
            self._study = study_of(recipe, folder)
        except UserError as error:
            self._refusal = f"{self._name}: {error}"
        self._process = TrialProcess(log_of(folder, self._name))

    def step(self) -> dict[str, Any]:
        """Carry out a trial, the whole of it."""
        if self._refusal:
            return {"refusal": self._refusal, "done": True}
        trial, values = self.config["trial"], self.config["values"]
        return {"record": carry_out(self._study, trial, values, self._process, self._name), "done": True}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Go on with the next trial in the same place."""
        return True

    def cleanup(self) -> None:
        """End the process of the trials."""
        self._process.close()

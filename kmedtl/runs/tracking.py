"""Where a run's course can be watched besides its own files: TensorBoard's event files, and MLflow."""

from __future__ import annotations

import contextlib
import importlib
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import tensorflow as tf

from kmedtl import config
from kmedtl.errors import UserError
from kmedtl.files.json_files import write_json
from kmedtl.finetune.checkpoint import Epoch
from kmedtl.recipe import Recipe

FOLDER = "tensorboard"
PROGRESS = "tracking.json"  # in the run folder: what was logged, and where
ARTEFACTS = ("recipe.yaml", "metrics.json", "history.csv", "environment.json", "report.html")
# What `tf.summary.scalar` would say; that function needs TensorBoard, which only a reader of the files does.
SCALAR = tf.compat.v1.SummaryMetadata(data_class="DATA_CLASS_SCALAR", plugin_data={"plugin_name": "scalars"})
Log = Callable[[Mapping[str, float], int], None]  # figures by name, and the step


@contextlib.contextmanager
def tracking(recipe: Recipe, folder: Path) -> Iterator[Callable[[Epoch, int], None]]:
    """Yield a function to call after each epoch, once; what it logged is complete when the block ends.

    Every figure of an epoch is a series of its own; the step is the number of the epoch, counted over all stages.

    - `training.tensorboard`: event files in `folder/tensorboard`.
    - `training.mlflow`: a run at that tracking URI in the experiment of the recipe's name, with the recipe as
      parameters. It ends as FINISHED, or as FAILED with the block.

    `folder/tracking.json` holds the epochs that are logged, the seconds that the blocks took, validation included, and
    the id of the MLflow run; a run that goes on after it was killed goes on there.

    Raises:
        UserError: `training.mlflow` without the extra `mlflow`, or a URI that cannot be reached.
    """
    progress = _progress(folder)
    earlier, start = progress["seconds"], time.perf_counter()

    def save() -> None:
        progress["seconds"] = round(earlier + time.perf_counter() - start, 3)
        write_json(folder / PROGRESS, progress)

    with contextlib.ExitStack() as open_logs:
        logs: list[Log] = []
        if recipe.training.tensorboard:
            logs.append(open_logs.enter_context(_tensorboard(folder / FOLDER)))
        if recipe.training.mlflow:
            logs.append(open_logs.enter_context(_mlflow(recipe, progress)))

        def after_epoch(epoch: Epoch, number: int) -> None:
            progress["epochs"] = number
            for log in logs:
                log(_figures(epoch), number)
            save()

        save()
        yield after_epoch
        save()


def log_result(recipe: Recipe, folder: Path, estimates: Mapping[str, float]) -> None:
    """Log the test's figures and the small files of a finished run folder to `training.mlflow`, if that is set.

    They go to the MLflow run of `tracking`, or to one of their own where nothing was tracked.

    Raises:
        UserError: as `tracking` does.
    """
    if not recipe.training.mlflow:
        return
    with _reaching(recipe.training.mlflow) as client:
        run = _run(client, recipe, _progress(folder)["mlflow_run"])
        for name, value in estimates.items():
            client.log_metric(run, f"test_{name}", value)
        for file in (folder / name for name in ARTEFACTS):
            if file.is_file():
                client.log_artifact(run, str(file))
        client.set_terminated(run)


def _progress(folder: Path) -> dict[str, Any]:
    file = folder / PROGRESS
    fresh = {"epochs": 0, "seconds": 0.0, "mlflow_run": ""}
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else fresh


def _figures(epoch: Epoch) -> dict[str, float]:
    """Return the numbers of an epoch by their names; `epoch` counts within its stage and is no figure."""
    return {name: value for name, value in epoch.row().items() if isinstance(value, float)}


@contextlib.contextmanager
def _tensorboard(folder: Path) -> Iterator[Log]:
    writer = tf.summary.create_file_writer(str(folder))

    def log(figures: Mapping[str, float], step: int) -> None:
        with writer.as_default(step):
            for name, value in figures.items():
                tf.summary.write(name, value, metadata=SCALAR)
        writer.flush()

    try:
        yield log
    finally:
        writer.close()
        for file in folder.glob(f"*.{socket.gethostname()}.*"):  # a host's name is nobody's business
            file.rename(file.with_name(file.name.replace(f".{socket.gethostname()}.", ".")))


@contextlib.contextmanager
def _mlflow(recipe: Recipe, progress: dict[str, Any]) -> Iterator[Log]:
    uri = recipe.training.mlflow
    with _reaching(uri) as client:
        run = progress["mlflow_run"] = _run(client, recipe, progress["mlflow_run"])

    def log(figures: Mapping[str, float], step: int) -> None:
        with _reaching(uri):
            for name, value in figures.items():
                client.log_metric(run, name, value, step=step)

    status = "FAILED"
    try:
        yield log
        status = "FINISHED"
    finally:
        with _reaching(uri):
            client.set_terminated(run, status)


def _run(client: Any, recipe: Recipe, begun: str) -> str:
    """Return the id of the MLflow run: the one that was begun, else of a new one."""
    if begun:
        client.update_run(begun, status="RUNNING")
        return begun
    experiment = client.get_experiment_by_name(recipe.name)
    number = experiment.experiment_id if experiment else client.create_experiment(recipe.name)
    run = client.create_run(number).info.run_id
    for name, value in (config.flat(recipe) | {"data.source": Path(recipe.data.source).name}).items():
        client.log_param(run, name, value)
    return run


@contextlib.contextmanager
def _reaching(uri: str) -> Iterator[Any]:
    """Yield a client of that tracking URI; what it says in the block is told in one line."""
    mlflow = _import_mlflow()
    try:
        yield mlflow.MlflowClient(tracking_uri=uri)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"training.mlflow: {uri} cannot be used ({reason}); mend the address, or empty it.") from None


def _import_mlflow() -> ModuleType:
    try:
        return importlib.import_module("mlflow")
    except ModuleNotFoundError:
        raise UserError(
            "training.mlflow: MLflow is not installed; pip install 'kmedtl[mlflow]', or empty it."
        ) from None

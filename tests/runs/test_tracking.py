import json
import socket
import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from kmedtl.errors import UserError
from kmedtl.finetune.checkpoint import Epoch
from kmedtl.recipe import Training
from kmedtl.recipes.pneumonia import RECIPE
from kmedtl.runs.tracking import log_result, tracking


@pytest.fixture
def epochs():
    """Three epochs of two stages, every figure a different one."""
    numbers = {name: 0.5 for name, kind in Epoch.__annotations__.items() if kind == "float"}
    return [
        Epoch(
            stage=stage,
            epoch=number,
            figures={"val_auc": 0.2 + step},
            **{name: 0.01 * place + step for place, name in enumerate(numbers)},
        )
        for step, (stage, number) in enumerate([("head", 1), ("head", 2), ("deeper", 1)])
    ]


def figures(epoch):
    return {name: value for name, value in epoch.row().items() if isinstance(value, float)}


def log(recipe, folder, epochs, error=None, begun=0):
    """Log some epochs of a run, which then dies of the error if one is given."""
    with tracking(recipe, folder) as after_epoch:
        for number, epoch in enumerate(epochs, begun + 1):
            after_epoch(epoch, number)
        if error:
            raise error


def scalars(folder):
    """Return {series: {step: value}} of all event files of a folder, and refuse a step that is there twice."""
    found = {}
    files = sorted(map(str, folder.iterdir()))
    for record in tf.data.TFRecordDataset(files):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            series = found.setdefault(value.tag, {})
            assert event.step not in series
            assert value.metadata.plugin_data.plugin_name == "scalars"
            series[event.step] = float(tf.make_ndarray(value.tensor))
    return found


def test_tensorboard_has_a_series_a_figure_and_a_run_that_goes_on_appends(epochs, tmp_path):
    recipe = replace(RECIPE, training=Training(tensorboard=True))
    with pytest.raises(KeyboardInterrupt):
        log(recipe, tmp_path, epochs[:2], KeyboardInterrupt())
    log(recipe, tmp_path, epochs[2:], begun=2)
    assert not list((tmp_path / "tensorboard").glob(f"*{socket.gethostname()}*"))
    progress = json.loads((tmp_path / "tracking.json").read_text())
    assert progress["epochs"] == 3
    assert 0 < progress["seconds"] < 60
    found = scalars(tmp_path / "tensorboard")
    assert set(found) == set(figures(epochs[0]))
    for name, series in found.items():
        assert sorted(series) == [1, 2, 3]
        np.testing.assert_allclose([series[step] for step in (1, 2, 3)], [figures(epoch)[name] for epoch in epochs])


def test_nothing_is_logged_that_was_not_asked_for(epochs, tmp_path):
    log(replace(RECIPE, training=Training(tensorboard=False)), tmp_path, epochs)
    assert [path.name for path in tmp_path.iterdir()] == ["tracking.json"]


@pytest.mark.slow
def test_mlflow_has_the_recipe_the_epochs_and_the_result_of_a_run_that_goes_on(epochs, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)  # where MLflow puts artefacts
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    recipe = replace(RECIPE, training=Training(tensorboard=False, mlflow=uri))
    with pytest.raises(RuntimeError):
        log(recipe, tmp_path, epochs[:1], RuntimeError())
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("pneumonia").experiment_id
    (begun,) = client.search_runs([experiment])
    assert begun.info.status == "FAILED"
    log(recipe, tmp_path, epochs[1:], begun=1)
    (tmp_path / "recipe.yaml").write_text("name: pneumonia\n")
    log_result(recipe, tmp_path, {"auc": 0.75})

    (run,) = client.search_runs([experiment])
    assert run.info.run_id == begun.info.run_id
    assert run.info.status == "FINISHED"
    assert run.data.params["stages.1.train"] == "last:2"
    assert run.data.params["data.size"] == "224"
    assert run.data.metrics["test_auc"] == 0.75
    for name, value in figures(epochs[0]).items():
        history = {metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, name)}
        assert history == {step: figures(epoch)[name] for step, epoch in enumerate(epochs, 1)}, value
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["recipe.yaml"]


@pytest.mark.slow
def test_a_result_without_epochs_is_a_run_of_its_own(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    log_result(replace(RECIPE, training=Training(mlflow=uri)), tmp_path, {"auc": 0.5})
    client = mlflow.MlflowClient(tracking_uri=uri)
    (run,) = client.search_runs([client.get_experiment_by_name("pneumonia").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"test_auc": 0.5}
    assert run.data.params["seed"] == "7"


def test_an_address_that_cannot_be_used_is_one_line(tmp_path):
    pytest.importorskip("mlflow")
    with pytest.raises(UserError, match=r"training\.mlflow: nonsense://here cannot be used") as caught:
        log(replace(RECIPE, training=Training(mlflow="nonsense://here")), tmp_path, [])
    assert "\n" not in str(caught.value)


def test_without_the_extra_the_remedy_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as if it were not installed
    with pytest.raises(UserError, match=r"pip install 'kmedtl\[mlflow\]'"):
        log(replace(RECIPE, training=Training(mlflow="http://localhost:5000")), tmp_path, [])

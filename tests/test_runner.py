import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kmedtl import recipe as recipes
from kmedtl.edge import model_info
from kmedtl.edge.litert import LiteRTModel
from kmedtl.edge.predictor import predict
from kmedtl.errors import UserError
from kmedtl.images.read_image import read_image
from kmedtl.recipe import Evaluation, Export
from kmedtl.runner import run
from kmedtl.runs.result import summary

QUIET = {"log": lambda text: None}
LIGHT = Export(formats=(), calibration_images=16)


def test_a_run_folder_holds_everything(trained):
    _, folder = trained
    assert {path.name for path in folder.iterdir()} == {
        "recipe.yaml", "manifest.csv", "audit.json", "audit.html", "history.csv", "predictions.csv", "metrics.json",
        "environment.json", "kmedtl.json", "report.html", "model_card.md", "plots", "model.keras", "saved_model",
        "model_float32.tflite", "model_int8.tflite", "tensorboard", "tracking.json", "output.log",
    }  # fmt: skip


def test_no_patient_is_in_two_splits(trained):
    result, folder = trained
    manifest = pd.read_csv(folder / "manifest.csv")
    assert (manifest.groupby("patient")["split"].nunique() == 1).all()
    assert set(manifest["split"]) == {"train", "val", "test"}
    assert result.audit.used == len(manifest)


@pytest.mark.slow
def test_the_run_repeats_itself_from_its_own_recipe(trained, tmp_path):
    _, folder = trained
    recipe = replace(recipes.read(folder / "recipe.yaml"), export=LIGHT)
    again, _ = run(recipe, tmp_path / "again", **QUIET)
    first = pd.read_csv(folder / "predictions.csv")
    assert np.array_equal(first["logit"].astype("float32"), again.predictions["logit"])


def test_synthetic_results_say_so_everywhere(trained):
    _, folder = trained
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["synthetic"] is True
    assert "nothing about patients" in metrics["notice"]
    assert "nothing about patients" in (folder / "report.html").read_text()
    for name in ("", "model.keras", "saved_model", "model_float32.tflite", "model_int8.tflite"):
        assert model_info.read(folder / name).synthetic


def test_metrics_are_those_of_the_predictions(trained):
    result, folder = trained
    test = pd.read_csv(folder / "predictions.csv").query("split == 'test'")
    metrics = json.loads((folder / "metrics.json").read_text())["test"]
    cells = metrics["confusion"]
    decisions = test["probability"] >= result.info.decoder.thresholds[0]
    assert cells["tp"] == (decisions & (test["label"] == 1)).sum()
    assert sum(cells.values()) == len(test) == metrics["images"]
    for name in result.evaluation.estimates:
        assert metrics[name]["low"] <= metrics[name]["value"] <= metrics[name]["high"]


def test_exported_files_answer_as_keras_does(trained):
    result, _ = trained
    parity = {row.file: row for row in result.parity}
    assert parity["model.keras"].drift["max_difference"] <= 1e-6
    assert parity["saved_model"].drift["max_difference"] <= 1e-6
    assert parity["model_float32.tflite"].drift["max_difference"] <= 1e-4
    assert parity["model_int8.tflite"].drift["mean_difference"] < 0.02  # the gate is 0.03
    assert parity["model_int8.tflite"].megabytes < parity["model_float32.tflite"].megabytes / 2


def test_a_file_that_misses_its_gate_is_named(trained):
    result, folder = trained
    kept = tuple(replace(row, failed_gates=()) for row in result.parity)
    assert "misses its gate" not in summary(replace(result, parity=kept), folder)
    failed_gates = (*kept[:-1], replace(kept[-1], failed_gates=("mean |Δp| 0.04 > 0.03",)))
    said = summary(replace(result, parity=failed_gates), folder)
    assert f"{kept[-1].file} misses its gate: mean |Δp| 0.04 > 0.03\n" in said


@pytest.mark.parametrize("file", ["model_float32.tflite", "model_int8.tflite"])
def test_the_edge_predictor_returns_what_the_run_recorded(trained, file):
    result, folder = trained
    paths = result.manifest.table.set_index("id")["path"][result.test["id"]]
    answers = list(predict(LiteRTModel(folder / file), model_info.read(folder / file), paths))
    recorded = result.test["probability"].to_numpy()
    difference = np.abs([answer.answer.probabilities["PNEUMONIA"] for answer in answers] - recorded)
    (measured,) = (row for row in result.parity if row.file == file)
    assert difference.max() == pytest.approx(measured.drift["max_difference"], abs=1e-4)
    assert difference.mean() == pytest.approx(measured.drift["mean_difference"], abs=1e-4)
    if "float32" in file:
        expected = [result.info.decoder.classes[int(p >= result.info.decoder.thresholds[0])] for p in recorded]
        assert [answer.answer.decision for answer in answers] == expected


def test_the_store_and_the_scanner_see_the_same_pixels(trained, small_recipe):
    from kmedtl.data import sources, store

    manifest = sources.load(small_recipe.data, small_recipe.seed)
    images = store.prepare(manifest.table, small_recipe.data.reading)
    path_of = manifest.table.set_index("id")["path"]
    name, pixels = images.facts["id"][0], next(images.images().as_numpy_iterator())
    assert np.array_equal(pixels, read_image(path_of[name], small_recipe.data.reading).pixels)


def test_a_failed_run_leaves_nothing_behind(small_recipe, tmp_path):
    broken = replace(small_recipe, backbone=replace(small_recipe.backbone, name="EfficientNetLite9"))
    with pytest.raises(UserError, match="Did you mean 'EfficientNetLite"):
        run(broken, tmp_path / "broken", **QUIET)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_leakage_is_refused_unless_allowed_and_then_told(image_folder, small_recipe, tmp_path):
    root = tmp_path / "divided"
    for file in sorted(image_folder.rglob("*.png")):
        part = {"0": "train", "1": "train", "2": "train", "3": "train", "4": "val", "5": "test"}[file.stem[-3]]
        (root / part / file.parent.name).mkdir(parents=True, exist_ok=True)
        (root / part / file.parent.name / file.name).write_bytes(file.read_bytes())
    leaked = next((root / "train" / "NORMAL").glob("*p0-0.png"))
    (root / "test" / "NORMAL" / "copy-p9-0.png").write_bytes(leaked.read_bytes())
    data = replace(small_recipe.data, source=str(root), patient_pattern=r"([a-zA-Z]+-p\d)-")
    recipe = replace(small_recipe, data=data, stages=small_recipe.stages[:1], export=LIGHT)
    with pytest.raises(UserError, match=r"patients or pictures in two of its splits: 1, .*allow_leakage=true"):
        run(recipe, tmp_path / "refused", **QUIET)
    assert not (tmp_path / "refused").exists()
    result, folder = run(replace(recipe, data=replace(data, allow_leakage=True)), tmp_path / "allowed", **QUIET)
    assert len(result.audit.leaks) == 1
    assert "the recipe allowed it" in (folder / "report.html").read_text()
    for name in ("manifest.csv", "predictions.csv"):  # and patients are hidden, since these are not synthetic
        assert pd.read_csv(folder / name)["patient"].str.fullmatch(r"p-[0-9a-f]{16}").all()
    assert not list(folder.glob("*.tflite"))


@pytest.mark.slow
def test_folds_judge_every_image_once_by_their_own_schedule(small_recipe, tmp_path):
    said = []
    data = replace(small_recipe.data, folds="site")
    backbone = replace(small_recipe.backbone, truncate_at="block3")
    recipe = replace(small_recipe, data=data, backbone=backbone, stages=(), schedule="linear_probe")
    recipe = replace(recipe, export=replace(LIGHT, formats=("float32",)), evaluation=Evaluation(cases=1, resamples=100))
    pooled, folder = run(recipe, tmp_path / "folds", log=said.append)
    predictions = pd.read_csv(folder / "predictions.csv")
    assert predictions["id"].is_unique
    assert len(predictions) == pooled.folds["A"].audit.used
    assert (predictions.groupby("patient")["fold"].nunique() == 1).all()
    assert set(predictions["fold"]) == {"A", "B"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["synthetic"] is True
    decisions = predictions["probability"] >= predictions["threshold"]
    right = decisions == (predictions["label"] == 1)
    assert metrics["pooled"]["accuracy"]["value"] == pytest.approx(right.mean())
    report = (folder / "report.html").read_text()
    assert "nothing about patients" in report
    assert sum("Schedule (linear_probe) for" in text for text in said) == 2
    for number, name in enumerate(pooled.folds, 1):
        fold = folder / f"fold-{number}"
        assert (fold / "model_float32.tflite").is_file()
        assert not (fold / "saved_model").exists()
        assert f'<a href="fold-{number}/report.html">{name}</a>' in report
        assert '<a href="../audit.html">' in (fold / "report.html").read_text()
        written = recipes.read(fold / "recipe.yaml")
        assert (written.schedule, [stage.train for stage in written.stages]) == ("stages", ["head"])

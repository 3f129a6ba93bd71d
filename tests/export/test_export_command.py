"""`kmedtl export`: a finished run's files in other formats, each measured, each carrying what it needs.

The command is that of docs/export.md, with the gate opened for all files but one.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from kmedtl.cli import main, parser
from kmedtl.config import override
from kmedtl.edge import model_info
from kmedtl.edge.tasks.classification.calibration import probabilities
from kmedtl.edge.tasks.classification.one_score import LOGITS
from kmedtl.export.exporting import fitted
from kmedtl.export.formats import check
from kmedtl.export.runtimes import open_runtime
from kmedtl.images.read_image import read_image
from kmedtl.recipes.pneumonia import RECIPE
from kmedtl.runs.export_run import trained_model
from kmedtl.runs.reopen import open_run
from tests.conftest import made_for_all
from tests.test_docs import commands_of

pytestmark = pytest.mark.slow  # all formats of a run are made once, in a minute
EVERY_FORMAT, ANOTHER_GATE = commands_of("export.md")
OPEN = [f"--set=export.gate.{name}=1" for name in ("float32", "auc_loss", "mean_difference", "flips")]
SHUT = "--set=export.gate.float16=0"
REJECTED = "model_float16.tflite.rejected"


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    def make(folder):
        shutil.copytree(trained[1], folder / "RUN")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            assert main([*EVERY_FORMAT, *OPEN, SHUT]) == 3

    return made_for_all(tmp_path_factory, "exported", make) / "RUN" / "exports"


@pytest.fixture(scope="module")
def images(trained):
    """The test images, from their files, and what the run says of them."""
    result, _ = trained
    paths = result.manifest.table.set_index("id")["path"][result.test["id"]]
    return np.stack([read_image(path, result.info.reading).pixels for path in paths])


def test_every_file_is_there_smaller_than_before_and_measured(exported):
    table = json.loads((exported / "parity.json").read_text())
    size = {row["file"]: row["megabytes"] for row in table["files"]}
    assert {path.name.removesuffix(".rejected") for path in exported.iterdir()} == set(size) | {"parity.json"}
    assert size["model_float16.tflite"] < 0.6 * size["model_float32.tflite"]
    assert max(size["model_int8.tflite"], size["model_dynamic.tflite"]) < 0.4 * size["model_float32.tflite"]
    assert {(found["file"], found["threads"]) for found in table["footprints"]} == {
        (f, n) for f in size for n in (1, 2)
    }
    assert all(0 < found["p50"] <= found["p95"] and found["peak_megabytes"] > 1 for found in table["footprints"])
    (int8,) = (row for row in table["files"] if "int8" in row["file"])
    assert int8["made"]
    assert int8["auc_loss_low"] <= int8["auc_loss"] <= int8["auc_loss_high"]


@pytest.mark.parametrize(
    ("file", "tolerance"),
    [
        ("model.keras", 1e-5),
        ("saved_model", 1e-5),
        ("model_float32.tflite", 1e-3),
        (REJECTED, 5e-3),
        ("model_dynamic.tflite", 0.5),
        ("model_int8.tflite", 0.5),
    ],
)
def test_a_file_answers_as_its_own_document_says(trained, exported, images, file, tolerance, tmp_path):
    result, _ = trained
    path = exported / file
    if file == REJECTED:
        path = shutil.copy(path, tmp_path / "model_float16.tflite")
    info, runtime = model_info.read(path), open_runtime(path)
    outputs = runtime(images)
    found = probabilities(outputs["logits"], info.decoder.calibration)[:, 0]
    difference = np.abs(found - result.test["probability"].to_numpy())
    assert difference.max() <= tolerance
    assert info.parity["max_difference"] == pytest.approx(difference.max(), abs=1e-6)
    assert info.parity["mean_difference"] == pytest.approx(difference.mean(), abs=1e-6)
    assert info.metrics["auc"][1] <= info.metrics["auc"][0] <= info.metrics["auc"][2]
    assert info.out_of_distribution.score(outputs["features"]).shape == (len(images),)
    assert len(info.recipe_hash) == len(info.data_hash) == 64
    assert (info.value_range, info.decoder.classes) == ((0.0, 255.0), ("NORMAL", "PNEUMONIA"))


def test_a_file_that_misses_its_gate_is_set_apart(exported):
    assert not (exported / "model_float16.tflite").exists()
    (row,) = (row for row in json.loads((exported / "parity.json").read_text())["files"] if row["failed_gates"])
    assert row["file"] == "model_float16.tflite"
    assert row["failed_gates"][0].startswith("max |Δp|")
    assert model_info.read(exported / REJECTED).parity["failed_gates"] == row["failed_gates"]


@pytest.mark.parametrize(("shift", "stays"), [(0.0, True), (1e-4, True), (2.0, False)])
def test_a_file_keeps_the_models_threshold_unless_another_is_better(trained, shift, stays, tmp_path):
    """A file whose logits are shifted by much asks for another threshold, one that hardly moves them does not."""
    subject = trained_model(open_run(trained[1]), print)
    path = tmp_path / "model.tflite"
    path.write_bytes(b"")
    model = open_runtime(trained[1] / "model.keras")

    class Shifted:
        shapes = model.shapes

        def __call__(self, images, fields=None):
            found = model(images, fields)
            return found | {LOGITS: found[LOGITS] + shift}

    fit, info, row = fitted(subject, Shifted(), path, "int8")
    assert (fit.decoder.thresholds == subject.fit.decoder.thresholds) == stays
    assert info.decoder == fit.decoder
    assert row.drift["flips"] < 0.1


def test_the_pages_other_command_is_one():
    options = parser().parse_args(ANOTHER_GATE)
    assert check(options.formats) == ("float32",)
    assert override(RECIPE, options.set).export.gate.float32 == 1e-4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{run}", "--formats", "int4"], "no such format: 'int4'. Did you mean 'int8'?"),
        (["{run}/plots"], "expected a run folder; recipe.yaml is not there"),
        (["{run}/model_int8.tflite"], "expected a run folder; recipe.yaml is not there"),
        (["{run}", "--set", "export.gate.flip=1"], "Did you mean 'flips'?"),
        (["{run}", "--out", "{run}"], "exists already"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(trained, arguments, words, capsys):
    assert main(["export", *(text.format(run=trained[1]) for text in arguments)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert words in error


def test_int8_without_training_images_is_refused(trained, tmp_path, capsys):
    run = shutil.copytree(trained[1], tmp_path / "RUN")
    manifest = (run / "manifest.csv").read_text()
    (run / "manifest.csv").write_text(manifest.replace(",train", ",elsewhere"))
    assert main(["export", str(run), "--formats", "int8"]) == 2
    error = capsys.readouterr().err
    assert "expected the run's training images" in error
    assert f"kmedtl run {run / 'recipe.yaml'}" in error
    assert not (run / "exports").exists()

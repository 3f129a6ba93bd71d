"""What a run of any task keeps: trained, exported, told, killed and resumed; one contract over `TASKS`.

What rows keep without a run is in `test_rows.py`.
"""

import json
import math
import pickle
import re
import shutil
import subprocess
from dataclasses import replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import kmedtl
from kmedtl import recipe as recipes
from kmedtl.cli import main
from kmedtl.edge.cli import main as edge_main
from kmedtl.edge.open_model import open_tflite
from kmedtl.edge.predictor import predict
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.edge.tasks.ordinal import GRADE
from kmedtl.edge.tasks.regression import VALUE
from kmedtl.edge.tasks.segmentation import FURTHEST, MASK
from kmedtl.recipe import (
    Backbone,
    Classification,
    Data,
    Evaluation,
    Export,
    Head,
    Multi,
    Ordinal,
    Recipe,
    Regression,
    Segmentation,
    Stage,
)
from kmedtl.runner import run
from kmedtl.runs.reopen import open_run
from kmedtl.runs.validate import validate
from kmedtl.tasks import TASKS, task_of
from tests.conftest import made_for_all
from tests.report.test_page import Page
from tests.test_resume import command, killed_at

SETTINGS = {
    "classification": Classification(),
    "regression": Regression("area"),
    "segmentation": Segmentation(),
    "ordinal": Ordinal(),
    "multi": Multi({"finding": Classification(), "area": Regression("area"), "organ": Segmentation()}, alone=False),
}
OUTPUTS = {
    "classification": [LOGITS],
    "regression": [VALUE],
    "segmentation": [MASK],
    "ordinal": [GRADE],
    "multi": [f"finding.{LOGITS}", f"area.{VALUE}", f"organ.{MASK}"],
}
HEADS = dict.fromkeys(("segmentation", "multi"), Head("unet", hidden=16))
COLUMNS = {"ordinal": {"label": "grade"}}
FILE = 256  # side of a phantom's film in pixels
ROUNDED = ("regression", "multi")  # whose decision is a number in words
DATA = Data(source="phantom:40", size=32, channels=1, batch_size=16, augment="none", structures={"lung": "*_lung*"})
STAGES = (Stage("head", "head", 1, 5e-2, batch_norm="adapt"), Stage("last blocks", "last:1", 1, 1e-3))
FILES = ("model.keras", "model_float32.tflite", "model_int8.tflite")


def recipe_of(task):
    return Recipe(
        "contract",
        STAGES,
        task=SETTINGS[task],
        data=replace(DATA, columns=COLUMNS.get(task, {})),
        backbone=Backbone("MobileNet", "random", truncate_at="block3"),
        head=HEADS.get(task, Head()),
        evaluation=Evaluation(cases=1, resamples=100, groups=("sex",)),
        export=Export(("float32", "int8"), calibration_images=16),
    )


def test_every_task_is_trained():
    assert set(SETTINGS) == {*TASKS, "multi"}


QUICK = "regression"  # what a classification does is tested on a larger run as well
EACH = [task if task == QUICK else pytest.param(task, marks=pytest.mark.slow) for task in SETTINGS]


@pytest.fixture(params=EACH)
def finished(request, tmp_path_factory):
    """A finished run of one epoch a stage: (Result, run folder)."""

    def make(folder):
        result, _ = run(recipe_of(request.param), folder / "run", log=lambda text: None)
        (folder / "result.pickle").write_bytes(pickle.dumps(result))

    made = made_for_all(tmp_path_factory, f"contract_{request.param}", make)
    return pickle.loads((made / "result.pickle").read_bytes()), made / "run"  # noqa: S301 – of this very session


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def estimates_in(document):
    """Yield every figure of a document with where it is, however deep."""
    if isinstance(document, dict) and {"value", "low", "high"} <= set(document):
        yield document
    elif isinstance(document, dict | list):
        for part in document.values() if isinstance(document, dict) else document:
            yield from estimates_in(part)


def test_it_learns_on_a_random_backbone(finished):
    result, folder = finished
    history = pd.read_csv(folder / "history.csv")
    assert [stage.name for stage in result.recipe.stages] == list(history["stage"].unique()) == ["head", "last blocks"]
    assert np.isfinite(history.select_dtypes("number")).all(axis=None)
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert {f"val_{figure}" for figure in result.task.better} <= set(history)


def test_metrics_say_what_was_asked_and_every_figure_has_an_interval_or_a_reason(finished):
    result, folder = finished
    metrics = metrics_of(folder)
    assert metrics["task"] == result.recipe.task.kind
    assert metrics["headline"] in metrics["test"]
    assert metrics["test"]["images"] == (result.predictions["split"] == "test").sum()
    figures = list(estimates_in(metrics))
    assert len(figures) > len(result.evaluation.estimates)
    for figure in figures:
        if figure["value"] is None or figure["low"] is None:
            assert figure["method"]
        else:
            assert figure["low"] <= figure["value"] <= figure["high"]
    for name, estimate in result.evaluation.estimates.items():
        assert metrics["test"][name]["value"] == (None if math.isnan(estimate.value) else estimate.value)


def test_each_file_is_written_and_compared(finished):
    result, folder = finished
    rows = {row["file"]: row for row in metrics_of(folder)["parity"]}
    assert tuple(rows) == FILES
    headline = metrics_of(folder)["headline"]
    for name, row in rows.items():
        assert (folder / name).is_file()
        assert {headline, f"{headline}_loss", *result.task.drift_titles} <= set(row)
    assert rows["model.keras"]["max_difference"] <= 1e-6
    assert rows["model_float32.tflite"]["max_difference"] <= 1e-5
    assert 0 < rows["model_int8.tflite"]["max_difference"] < 0.2
    assert rows["model_int8.tflite"]["megabytes"] < rows["model_float32.tflite"]["megabytes"] / 2


@pytest.mark.parametrize(("file", "within"), [("model_float32.tflite", 1e-5), ("model_int8.tflite", 0.2)])
def test_the_scanner_answers_what_the_run_recorded(finished, file, within):
    result, folder = finished
    model, test = open_tflite(folder / file), result.test
    paths = result.manifest.table.set_index("id")["path"][test["id"]]
    recorded = answers_on_files(result.task, open_run(folder).examples("test").outputs, result.info.decoder)
    answers = list(predict(model.runtime, model.info, paths))
    assert model.info.decoder.kind == result.recipe.task.kind
    assert len({str(answer.answer.values()) for answer in answers}) == len(test)  # or a mixed-up order would not show
    decoder = result.info.decoder
    scales = [FILE**2 if "pixels" in column else 1 for column in result.task.edge.columns(decoder)]
    for told, expected in zip(answers, recorded, strict=True):
        assert told.error is None
        for scale, *values in zip(scales, told.answer.values(), expected.values(), strict=True):
            if isinstance(values[0], float):
                assert values[0] == pytest.approx(values[1], abs=within * scale)
                if "float32" not in file:
                    break
        if "float32" in file:
            assert told.answer.decision == expected.decision or result.recipe.task.kind in ROUNDED
        assert isinstance(told.out_of_distribution, bool)


@pytest.mark.parametrize("options", [(), ("--window",)], ids=["resized", "window"])
def test_masks_are_written_in_the_size_of_the_file_or_refused(finished, options, tmp_path, capsys):
    result, folder = finished
    paths, masks = list(result.manifest.table["path"][:3]), tmp_path / "masks"
    asked = ["predict", str(folder / "model_int8.tflite"), *paths, "--masks", str(masks), "--format", "json", *options]
    code, printed = edge_main(asked), capsys.readouterr()
    several = len(result.task.edge.widths(result.info.decoder)) > 1
    if result.task.edge.masks is None or (several and options):
        assert code == 2
        assert re.search(rf"{(*options, '--masks')[0]}: expected a model of (a segmentation|masks alone)", printed.err)
        return
    assert code == 0
    assert f"Masks: 3 in {masks}" in printed.err
    for row in json.loads(printed.out):
        structures = row["organ" if several else "structures"]
        for path, structure in zip(row["masks"], structures.get("structures", structures).values(), strict=True):
            with Image.open(path) as mask:
                values = np.asarray(mask)
            assert values.shape == (FILE, FILE)
            assert set(np.unique(values)) <= {0, 255}
            assert (values == 255).sum() == structure["pixels"] == pytest.approx(structure["share"] * FILE**2)


def answers_on_files(task, outputs, decoder):
    """Return the answers for images as large as a phantom's film."""
    if task.edge.place is None:
        return task.edge.decode(outputs, decoder)
    count = len(next(iter(outputs.values())))
    each = ({name: array[row : row + 1] for name, array in outputs.items()} for row in range(count))
    return [task.edge.place(one, decoder, FILE, FILE) for one in each]


def test_predictions_read_back_as_what_was_judged(finished):
    result, folder = finished
    opened = open_run(folder)
    task, question = task_of(result.recipe.task), result.question
    predictions = opened.predictions
    targets, outputs = task.read(question, predictions, opened.arrays)
    assert list(outputs) == list(targets) == OUTPUTS[result.recipe.task.kind]
    table = result.manifest.table.set_index("id", drop=False).loc[predictions["id"]]
    known = task.targets(question, result.recipe.data, result.manifest, result.manifest.table).of(table)
    for name, array in outputs.items():
        assert (len(targets[name]), targets[name].shape[-1]) == (len(predictions), 1)
        assert array.shape[-1] == task.edge.widths(opened.info.decoder)[name]
        assert np.allclose(targets[name], known[name], atol=1e-6)
    again = task.figures(opened.question, result.recipe.evaluation, opened.examples("test"), opened.info.decoder)
    for figure, estimate in again.estimates.items():
        assert estimate.value == pytest.approx(result.evaluation.estimates[figure].value, nan_ok=True), figure


def told(name, array):
    """Return outputs that say what targets are."""
    if name.endswith(GRADE):  # of CORN, surer the further a cut is
        return 2000 * (array - np.arange(3, dtype=np.float32) - 0.5)
    return 2 * FURTHEST * array - FURTHEST if name.endswith(MASK) else array


def test_perfect_outputs_are_judged_better_than_shuffled_ones(finished):
    result, folder = finished
    task, settings = result.task, result.recipe.evaluation
    test = open_run(folder).examples("test")
    perfect = {name: told(name, array.astype(np.float32)) for name, array in test.targets.items()}
    first = perfect[OUTPUTS[result.recipe.task.kind][0]]
    order = np.roll(np.argsort(first.reshape(len(first), -1).sum(axis=1)), len(test.ids) // 2)
    shuffled = {name: array[order] for name, array in perfect.items()}
    figures = [
        task.evaluate(result.question, settings, replace(test, outputs=outputs), result.fit, 0).estimates
        for outputs in (perfect, shuffled)
    ]
    headline = result.evaluation.headline
    assert figures[0][headline].value == pytest.approx(1)
    assert figures[1][headline].value < figures[0][headline].value


def test_the_report_is_well_formed_and_tells_the_headline(finished):
    result, folder = finished
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.headings[0] == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert len(page.ids) == len(set(page.ids))
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert all(len(image["alt"]) > 20 for image in page.images)
    assert all(header.get("scope") in ("col", "row") for header in page.headers)
    assert "say nothing about patients" in page.text
    assert "nan" not in page.text.split()
    assert "None" not in page.text
    assert f"{result.evaluation.estimates[result.evaluation.headline].value:.3f}" in page.text
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    assert "nan" not in card.split()
    assert "{{" not in card


def test_a_run_of_any_task_says_how_it_can_be_opened(finished):
    result, folder = finished
    assert recipes.read(folder / "recipe.yaml").task == result.recipe.task
    opened = open_run(folder)
    assert opened.info.decoder == result.info.decoder
    assert opened.task is result.task


@pytest.mark.slow
def test_a_run_that_was_killed_ends_as_an_undisturbed_one(finished, tmp_path):
    result, undisturbed = finished
    recipe = replace(recipe_of(result.recipe.task.kind), export=Export(()))
    recipes.write(recipe, tmp_path / "r.yaml")
    words = command(tmp_path / "r.yaml", tmp_path / "killed")
    killed_at(words, "last blocks 1/1")
    done = subprocess.run([*words, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    predictions = [pd.read_csv(folder / "predictions.csv") for folder in (undisturbed, tmp_path / "killed")]
    pd.testing.assert_frame_equal(*predictions, check_exact=True)


@pytest.mark.slow
def test_on_its_own_images_a_run_answers_as_it_did(finished):
    """Whatever else the source holds; the figures of the run's own test stand beside those of all images."""
    result, folder = finished
    run = open_run(folder)
    found = validate(run, result.recipe.data.source, same_patients=False)
    assert found.images == result.audit.used
    own = run.predictions[run.predictions["split"] == "test"].set_index("id")
    table = pd.read_csv(StringIO(found.table.to_csv(index=False))).set_index("id")  # as the run's was read
    here = table.loc[own.index, [name for name in own if name in table]].astype(object).fillna("")
    pd.testing.assert_frame_equal(here, own[here.columns].astype(object).fillna(""), check_dtype=False, atol=1e-4)
    assert {result.evaluation.headline, *result.task.brief} & set(found.figures)
    for name, figure in found.figures.items():
        if name in result.evaluation.estimates and figure.own.value == figure.own.value:
            assert figure.own.value == pytest.approx(result.evaluation.estimates[name].value, abs=1e-5), name


def test_a_run_beside_itself_gains_nothing(finished, tmp_path, capsys):
    result, folder = finished
    twin = shutil.copytree(folder, tmp_path / "twin")
    assert main(["compare", str(folder), str(twin), "--out", str(tmp_path / "page")]) == 0
    assert "other test images" not in capsys.readouterr().out
    (gain,) = pd.read_csv(tmp_path / "page" / "compare.csv")[f"{result.evaluation.headline}_gain"].iloc[1:]
    assert gain == 0


def test_a_run_is_evaluated_again_with_the_same_figures(finished, capsys):
    result, folder = finished
    assert main(["evaluate", str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["task"] == result.recipe.task.kind
    assert main(["evaluate", str(folder)]) == 0
    assert str(result.evaluation.estimates[result.evaluation.headline]) in capsys.readouterr().out
    figures = kmedtl.evaluate(folder).estimates
    assert figures.keys() == result.evaluation.estimates.keys()
    for name, estimate in result.evaluation.estimates.items():
        assert figures[name].value == pytest.approx(estimate.value, abs=1e-6, nan_ok=True)

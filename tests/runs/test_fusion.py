"""Fields beside the image, from the manifest to the scanner: what they add, and what a model does without them."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import kmedtl
from kmedtl import config
from kmedtl import recipe as recipes
from kmedtl.cli import main
from kmedtl.edge.cli import main as edge_main
from kmedtl.edge.open_model import open_tflite
from kmedtl.ensemble.members import open_member
from kmedtl.errors import UserError
from kmedtl.explain.features import outputs_and_features
from kmedtl.export.runtimes import load_keras, open_runtime
from kmedtl.files.names import MODEL
from kmedtl.recipe import Backbone, Data, Evaluation, Export, Ordinal, Recipe, Regression, Segmentation, Stage, Training
from kmedtl.runner import run
from kmedtl.runs import reopen
from kmedtl.runs.fusion import FUSIONS
from tests.conftest import made_for_all

IMAGES = 120
STAGES = (Stage("head", "head", 6, 2e-2), Stage("last block", "last:1", 1, 1e-3))
SMALL = {"stages": STAGES, "backbone": Backbone("Tiny", "random")}


def write_films(folder):
    """Write noise, and a table in which the age says mostly whether it is ill; return the table's path."""
    random, rows = np.random.default_rng(0), []
    folder.mkdir(parents=True)
    for number in range(IMAGES):
        ill = number % 2
        pixels = random.integers(0, 200, (32, 32), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        age = "" if number % 10 == 3 else f"{random.normal(40 + 25 * ill, 8):.0f}"
        row = {"path": f"{number}.png", "label": ("well", "ill")[ill], "patient": number // 2 * 2 + ill, "age": age}
        rows.append(row | {"sex": "FM"[int(random.integers(2))], "grade": random.integers(3), "size": random.normal()})
    pd.DataFrame(rows).to_csv(folder / "films.csv", index=False)
    return folder / "films.csv"


def recipe_of(source, fusion="late", **more):
    settings = {
        "data": Data(source=str(source), size=32, channels=1, batch_size=16, augment="none", classes=("well", "ill")),
        "evaluation": Evaluation(cases=1, resamples=100),
        "export": Export(("float32",)),
        "tabular": {"age": "number", "sex": "category"},
        "fusion": fusion,
    }
    return Recipe("fields", **(SMALL | settings | more))


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    return made_for_all(tmp_path_factory, "films_with_fields", lambda folder: write_films(folder / "films")) / "films"


@pytest.fixture(params=FUSIONS)
def finished(request, films, tmp_path_factory):
    """A finished run: (Result, run folder)."""

    def make(folder):
        result, _ = run(recipe_of(films / "films.csv", request.param), folder / "run", log=lambda text: None)
        (folder / "result.pickle").write_bytes(pickle.dumps(result))

    made = made_for_all(tmp_path_factory, f"fused_{request.param}", make)
    return pickle.loads((made / "result.pickle").read_bytes()), made / "run"  # noqa: S301 – of this very session


@pytest.mark.slow
def test_fields_that_know_the_answer_help_and_the_run_says_so(finished):
    result, folder = finished
    told = json.loads((folder / "metrics.json").read_text())["tabular"]
    gain = told["image_alone"]["gain_together"]["value"]
    assert gain > 0.1
    assert gain == pytest.approx(told["both"]["auc"]["value"] - told["image_alone"]["auc"]["value"])
    assert told["fields_alone"]["auc"]["value"] > 0.85
    assert told["both"]["auc"]["value"] == pytest.approx(result.evaluation.estimates["auc"].value)
    assert 'href="#fields"' in (folder / "report.html").read_text()
    assert "Fields beside the image" in (folder / "model_card.md").read_text()
    shortcuts = json.loads((folder / "audit.json").read_text())["shortcuts"]
    assert next(one for one in shortcuts if one["what"] == "fields")["auc"]["value"] > 0.8


@pytest.mark.slow
def test_what_is_kept_of_the_fields_is_of_training_alone(finished, films):
    result, _ = finished
    table = pd.read_csv(films / "films.csv").set_index("path")
    age, sex = result.info.fields
    training = result.manifest.table.query("split == 'train'")["id"]
    assert age.mean == pytest.approx(table.loc[training, "age"].mean())
    assert age.deviation == pytest.approx(table.loc[training, "age"].std(ddof=0))
    assert sex.categories == ("f", "m")


@pytest.mark.slow
def test_every_file_answers_as_the_model_with_the_same_fields(finished):
    _, folder = finished
    opened = reopen.open_run(folder)
    images, fields = reopen.test_images(opened, None, print).inputs()
    model = load_keras(folder / MODEL, opened.info)
    expected = outputs_and_features(model, images, fields)
    np.testing.assert_allclose(opened.examples("test").outputs["logits"], expected["logits"], atol=1e-4)
    found = open_runtime(folder / "model_float32.tflite")(images, fields)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4)
    blank = outputs_and_features(model, images, reopen.test_images(opened, None, print).fields.absent(len(images)))
    np.testing.assert_allclose(blank["features"], expected["features"])  # which are of the image alone
    assert not np.allclose(blank["logits"], expected["logits"], atol=0.1)
    with pytest.raises(ValueError, match="expected fields beside"):
        open_runtime(folder / "model_float32.tflite")(images)


@pytest.mark.slow
def test_the_predictor_takes_fields_in_every_form_and_says_what_is_missing(finished, films, tmp_path, capsys):
    result, folder = finished
    model, paths = folder / "model_float32.tflite", [str(films / f"{number}.png") for number in (0, 1, 3)]
    wanted = [{"age": age, "sex": sex} for age, sex in (("30", "F"), ("80", "M"), ("", "X"))]
    rows = pd.DataFrame([{"path": path, **row} for path, row in zip(paths, wanted, strict=True)])
    rows.to_csv(tmp_path / "known.csv", index=False)
    table = kmedtl.predict(model, paths, wanted)
    assert list(table["fields_missing"]) == ["", "", "age"]
    assert list(table["fields_unseen"]) == ["", "", "sex"]
    whole = kmedtl.predict(folder, paths, wanted)
    np.testing.assert_allclose(whole["probability"], table["probability"], atol=1e-4)
    assert edge_main(["predict", str(model), *paths, "--fields", str(tmp_path / "known.csv"), "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[3].endswith(",age,sex")
    for command, one in ((edge_main, model), (main, folder)):
        assert command(["predict", str(one), paths[0], "--fields", "AGE=30,sex=F", "--format", "json"]) == 0
        (answer,) = json.loads(capsys.readouterr().out)
        assert answer["probabilities"]["ill"] == pytest.approx(table["probability"][0], abs=1e-4)
        assert answer["fields_missing"] == answer["fields_unseen"] == []
    assert edge_main(["predict", str(model), *paths, "--explain", str(tmp_path / "maps")]) == 0
    told = capsys.readouterr()
    assert told.out.count("(missing: age, sex)") == 3
    assert "age of 3, sex of 3" in told.err
    assert edge_main(["inspect", str(model)]) == 0
    assert "age (a number" in capsys.readouterr().out
    assert edge_main(["predict", str(model), *paths, "--fields", "agee=3"]) == 2
    known, unknown = (kmedtl.predict(model, paths[:1], row)["probability"][0] for row in ({"age": 30}, {"age": 80}))
    assert known < unknown
    assert open_tflite(model).info.fields == result.info.fields


@pytest.mark.slow
def test_a_finished_run_is_exported_and_shifted_with_its_fields(finished, tmp_path):
    _, folder = finished
    assert main(["export", str(folder), "--formats", "float32", "--out", str(tmp_path / "again")]) == 0
    rows = json.loads((tmp_path / "again" / "parity.json").read_text())["files"]
    row = next(row for row in rows if "float32" in row["file"])
    assert row["max_difference"] < 1e-3
    assert main(["shift", str(folder), "--severities", "1", "--out", str(tmp_path / "shift"), "--quiet"]) == 0


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_as_it_would_have(finished, films, tmp_path, monkeypatch):
    result, undisturbed = finished
    recipe = recipe_of(films / "films.csv", result.recipe.fusion)
    from kmedtl.finetune import stages

    real, seen = stages._run_epoch, []

    def dying(*arguments):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(1)
        real(*arguments)

    monkeypatch.setattr(stages, "_run_epoch", dying)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "stopped", log=lambda text: None)
    monkeypatch.undo()
    run(recipe, tmp_path / "stopped", log=lambda text: None, resume=True)
    whole, again = ((folder / "predictions.csv").read_text() for folder in (undisturbed, tmp_path / "stopped"))
    assert whole == again


@pytest.mark.slow
def test_fields_go_through_stages_that_cache_nothing_and_adapt(films, tmp_path):
    stages = (
        Stage("head", "head", 1, 1e-2, batch_norm="adapt", views=0),
        Stage("rest", "adaptive:1", 1, 1e-3, views=0),
    )
    training = Training(select="worst_shift")
    recipe = recipe_of(films / "films.csv", "gated", stages=stages, training=training, export=Export(()))
    result, _ = run(recipe, tmp_path / "run", log=lambda text: None)
    assert len(result.trained.history) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("task", "fusion"), [(Regression("size"), "late"), (Ordinal(), "gated")])
def test_other_tasks_take_fields_too(task, fusion, films, tmp_path):
    recipe = recipe_of(films / "films.csv", fusion, task=task)
    columns = {"label": "grade"} if task.kind == "ordinal" else {}
    recipe = replace(recipe, data=replace(recipe.data, classes=(), columns=columns))
    result, _ = run(recipe, tmp_path / "run", log=lambda text: None)
    assert set(result.ablation.alone) == {"image", "fields"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"task": Segmentation()}, "expected"),
        ({"schedule": "soup", "stages": (), "soup": ("a", "b")}, "soups"),
        ({"distill": "run"}, "teachers"),
        ({"fusion": "gated", "schedule": "logistic", "stages": ()}, "late beside"),
        ({"fusion": "gated", "stages": (Stage("head", "head", 1, 1e-2, mix="mixup"),)}, "none beside fusion=gated"),
    ],
)
def test_recipes_that_cannot_be_meant_are_refused(more, message):
    with pytest.raises(UserError, match=message):
        recipe_of("films.csv", **more)


def test_a_field_is_a_number_or_a_category():
    with pytest.raises(UserError, match=r"tabular\.age: no such choice"):
        config.build(Recipe, {"name": "a", "schedule": "auto", "tabular": {"age": "text"}})


@pytest.mark.parametrize(
    ("tabular", "message"),
    [
        ({"agee": "number"}, "no column 'agee'. Did you mean 'age'"),
        ({"label": "category"}, "neither the answer nor"),
        ({"sex": "number"}, "expected numbers or blanks"),
        ({"site": "category"}, "blanks alone"),
    ],
)
def test_columns_that_are_no_fields_are_refused_before_training(tabular, message, films, tmp_path):
    with pytest.raises(UserError, match=message):
        run(recipe_of(films / "films.csv", tabular=tabular), tmp_path / "run", log=lambda text: None)


@pytest.mark.slow
def test_commands_that_know_nothing_of_fields_say_so(finished, films, tmp_path, capsys):
    _, folder = finished
    recipe = tmp_path / "searched.yaml"
    recipes.write(recipe_of(films / "films.csv"), recipe)
    assert main(["search", str(recipe), "--out", str(tmp_path / "search")]) == 2
    assert "trials see the image alone" in capsys.readouterr().err
    with pytest.raises(UserError, match="ensembles and soups cannot use"):
        open_member(folder)

"""Volumes that are answered as a whole: a run pools the outputs of slices, and its files answer likewise."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kmedtl.cli import main
from kmedtl.config import build, to_dict
from kmedtl.edge.cli import main as main_of_edge
from kmedtl.errors import UserError
from kmedtl.images.read_volume import read_volume
from kmedtl.recipe import (
    Backbone,
    Data,
    Evaluation,
    Export,
    Multi,
    Ordinal,
    Recipe,
    Regression,
    Stage,
    Training,
)
from kmedtl.runner import run
from kmedtl.runs.prepare import prepare_recipe
from tests.conftest import made_for_all
from tests.images.volume_files import nifti_bytes, nifti_image, save_all, save_bytes, series

AFFINE = np.diag([0.8, 0.9, 2.5, 1.0])
SLICES, DARK = 7, 2  # of each volume, and those of them that show nothing
RECIPE = Recipe(
    "volumes",
    (Stage("all", train="all", epochs=3, lr=0.01, batch_norm="train", views=1),),
    data=Data(size=32, channels=3, aspect="keep", batch_size=16, augment="none", validation=0.25, test=0.25),
    backbone=Backbone("Tiny", "random"),
    training=Training(tensorboard=False),
    evaluation=Evaluation(resamples=100, cases=1),
    export=Export(formats=("float32", "int8"), calibration_images=16),
)
TASKS = {"regression": Regression("size"), "ordinal": Ordinal(target="grade")}
TASKS |= {"multi": Multi(dict(TASKS), alone=False)}


def save_set(root, count=32):
    """Write volumes of noise in class folders, and a table of them; what is larger shows in the middle of a few."""
    rows = []
    for number in range(count):
        size = number % 4  # 0: nothing
        values = np.random.default_rng(number).integers(60, 200, (20, 24, SLICES)).astype(np.int16)
        values[..., 0] = values[..., -1] = 0
        values[8 - size : 8 + size, 9 - size : 9 + size, 2:5] = 900
        values[0, 0, 3] = 900  # so that the percentiles are alike
        name = f"{'lesion' if size else 'healthy'}/v{number:02}.nii.gz"
        save_bytes(nifti_bytes(nifti_image(values, AFFINE)), root / name)
        rows.append(
            {"path": name, "label": name.partition("/")[0], "size": size, "grade": size, "sex": "FM"[number % 2]}
        )
    pd.DataFrame(rows).to_csv(root / "table.csv", index=False)
    return root


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return save_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def finished(source, tmp_path_factory):
    def make(folder):
        asked = replace(RECIPE.data, source=str(source), classes=("healthy", "lesion"), slices="attention")
        recipe = replace(RECIPE, data=asked)
        run(recipe, folder / "run", log=lambda text: None)

    return made_for_all(tmp_path_factory, "pooled", make) / "run"


def test_slices_are_listed_and_background_is_left_out(source):
    found = prepare_recipe(replace(RECIPE, data=replace(RECIPE.data, source=str(source))))
    assert found.manifest.classes == ("healthy", "lesion")
    assert len(found.listed) == 32 * SLICES
    assert found.table.groupby("volume")["frame"].agg(list).map(sorted).map(tuple).unique().tolist() == [
        ("1", "2", "3", "4", "5")
    ]
    assert f"Slices of background, left out: {32 * DARK} of {32 * SLICES}" in "\n".join(found.audit.warnings)


@pytest.mark.slow
def test_a_run_judges_volumes(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    table = pd.read_csv(finished / "predictions.csv")
    test = table[table["split"] == "test"]
    assert metrics["test"]["images"] == len(test) == test["id"].nunique()
    assert set(test["id"]) <= {f"{name}/v{number:02}.nii.gz" for name in ("healthy", "lesion") for number in range(32)}
    assert json.loads((finished / "kmedtl.json").read_text())["slices"] == "attention"
    assert "Shown is slice" in (finished / "report.html").read_text()


@pytest.mark.slow
def test_a_run_tells_its_slices(finished):
    told, answers = pd.read_csv(finished / "slices.csv"), pd.read_csv(finished / "predictions.csv")
    assert set(told["id"]) == set(answers.loc[answers["split"] == "test", "id"])
    assert told.groupby("id")["frame"].agg(list).tolist() == [[1, 2, 3, 4, 5]] * told["id"].nunique()
    assert told["position"].to_numpy() == pytest.approx(2.5 * told["frame"])
    assert told.groupby("id")["share"].sum().to_numpy() == pytest.approx(1)
    pooled = (told["logits"] * told["share"]).groupby(told["id"]).sum()
    assert pooled.to_numpy() == pytest.approx(answers.set_index("id")["logit"][pooled.index], abs=1e-4)
    assert told["marked"].isna().all()  # there are no masks
    assert list((finished / "plots").glob("slices-*"))
    assert 'id="slices"' in (finished / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["model_float32.tflite", "."])
def test_files_answer_volumes_as_the_run_did(model, finished, source, capsys):
    table = pd.read_csv(finished / "predictions.csv").set_index("id")
    test = table[table["split"] == "test"]
    ask = main_of_edge if model != "." else main
    assert (
        ask(["predict", str(finished / model), *[str(source / name) for name in test.index], "--format", "json"]) == 0
    )
    answers = json.loads(capsys.readouterr().out)
    told = [answer["probabilities"]["lesion"] for answer in answers]
    assert told == pytest.approx(test["probability"].tolist(), abs=1e-4)
    assert [answer["out_of_distribution"] for answer in answers] == (test["unlike_training"] == 1).tolist()


@pytest.mark.slow
def test_an_image_is_no_volume(finished, image_folder, capsys):
    (image, *_) = sorted(image_folder.rglob("*.png"))
    assert main_of_edge(["predict", str(finished / "model_float32.tflite"), str(image), "--format", "json"]) == 2
    assert json.loads(capsys.readouterr().out)[0]["error"] == "an image, and the model answers volumes"


@pytest.mark.slow
def test_doors_of_a_finished_run_take_volumes(finished, source, tmp_path, capsys):
    copy = shutil.copytree(finished, tmp_path / "RUN")
    assert main(["export", str(copy), "--formats", "float32", "--out", str(tmp_path / "files")]) == 0
    written = json.loads((tmp_path / "files" / "parity.json").read_text())["files"]
    reached = json.loads((finished / "metrics.json").read_text())["test"]["auc"]["value"]
    for row in written:
        assert row["max_difference"] < 1e-4
        assert row["auc"] == pytest.approx(reached)
    assert main(["shift", str(copy), "--severities", "3", "--quiet"]) == 0
    clean = pd.read_csv(copy / "shift" / "shift.csv").iloc[0]
    assert clean["auc"] == pytest.approx(reached)
    other = save_set(tmp_path / "other", 8)
    assert main(["validate", str(copy), "--data", str(other), "--other-patients", "--out", str(tmp_path / "v")]) == 0
    assert len(pd.read_csv(tmp_path / "v" / "predictions.csv")) == 8


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "rule"), [("multi", "max"), ("ordinal", "attention")])
def test_numbers_and_grades_of_volumes(kind, rule, source, tmp_path):
    data = replace(RECIPE.data, source=str(source / "table.csv"), slices=rule)
    recipe = replace(RECIPE, task=TASKS[kind], data=data, export=Export(formats=()))
    result, _ = run(recipe, tmp_path / "run", log=lambda text: None)
    assert result.info.slices == rule
    assert result.evaluation.images == len(result.predictions.query("split == 'test'"))


@pytest.mark.slow
def test_fields_and_classifiers_go_with_volumes(source, tmp_path):
    data = replace(RECIPE.data, source=str(source / "table.csv"))
    recipe = replace(
        RECIPE, stages=(), schedule="logistic", data=data, tabular={"sex": "category"}, export=Export(formats=())
    )
    result, _ = run(recipe, tmp_path / "run", log=lambda text: None)
    assert set(result.ablation.alone) == {"image", "fields"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "knn", "stages": []}, "schedule: expected logistic or svm"),
        ({"schedule": "logistic", "stages": [], "data.slices": "max"}, "data.slices: expected mean"),
        ({"distill": "run"}, "distill: expected nothing beside volumes"),
    ],
)
def test_what_takes_slices_for_volumes_is_refused(settings, message, source):
    document = to_dict(replace(RECIPE, data=replace(RECIPE.data, source=str(source))))
    for name, value in settings.items():
        *above, last = name.split(".")
        place = document[above[0]] if above else document
        place[last] = value
    with pytest.raises(UserError, match=message):
        prepare_recipe(build(Recipe, document))


def test_attention_over_slices_is_refused_beside_images(image_folder):
    with pytest.raises(UserError, match=r"data\.slices: expected mean or max beside images"):
        prepare_recipe(replace(RECIPE, data=replace(RECIPE.data, source=str(image_folder), slices="attention")))


def test_slices_of_a_volume_have_one_label(source, tmp_path):
    rows = [
        {"path": str(path), "frame": frame, "label": "ab"[(number + frame) % 2], "volume": path.name}
        for number, path in enumerate(sorted(source.rglob("*.nii.gz"))[:8])
        for frame in (2, 3)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match="its slices have different labels"):
        prepare_recipe(replace(RECIPE, data=replace(RECIPE.data, source=str(tmp_path / "t.csv"))))


@pytest.mark.slow
def test_the_scanner_answers_a_dicom_series_as_the_same_volume_in_nifti(finished, source, tmp_path, capsys):
    (path, *_) = sorted((source / "lesion").iterdir())
    volume = read_volume(path)
    slices = series(values=volume.values.astype(np.int16))
    for data in slices:
        data.PixelSpacing = list(volume.spacing[1:])
    save_all(slices, tmp_path / "scans" / "one")
    model = str(finished / "model_float32.tflite")
    assert main_of_edge(["predict", model, str(path), str(tmp_path / "scans"), "--format", "json"]) == 0
    nifti, dicom = json.loads(capsys.readouterr().out)
    assert dicom["image"] == str(tmp_path / "scans" / "one")
    assert dicom["probabilities"]["lesion"] == pytest.approx(nifti["probabilities"]["lesion"], abs=1e-6)

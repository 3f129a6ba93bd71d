"""A folder of several classes, and a table of several findings: the same command, the same files."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl.cli import main
from kmedtl.images.read_image import read_image
from kmedtl.recipe import Evaluation
from kmedtl.runner import run

CLASSES = ("DARK", "GREY", "LIGHT")


@pytest.fixture(scope="module")
def three_classes(tmp_path_factory):
    """Three class folders of ten patients each, told apart by their brightness."""
    root = tmp_path_factory.mktemp("three")
    random = np.random.default_rng(0)
    for name, base in zip(CLASSES, (20, 90, 160), strict=True):
        (root / name).mkdir()
        for patient in range(14):
            for view in range(2):
                pixels = random.integers(base, base + 60, (40, 40), dtype=np.uint8)
                Image.fromarray(pixels).save(root / name / f"{name}{patient:02}-{view}.png")
    return root


@pytest.fixture(scope="module")
def several_findings(three_classes, tmp_path_factory):
    """A manifest with a column a finding: bright, and grey or bright; some answers unknown."""
    files = sorted(three_classes.rglob("*.png"))
    table = pd.DataFrame({"path": files, "patient": [file.name[:-6] for file in files]})
    table["Bright"] = [int("LIGHT" in str(file)) for file in files]
    table["Visible"] = [int("DARK" not in str(file)) for file in files]
    table.loc[::11, "Bright"] = -1
    path = tmp_path_factory.mktemp("several") / "labels.csv"
    table.to_csv(path, index=False)
    return path


def small(recipe, source, classes=(), **evaluation):
    pattern = "^([A-Z]+[0-9]+)"
    data = replace(recipe.data, source=str(source), size=32, classes=classes, patient_pattern=pattern, augment="none")
    stages = (replace(recipe.stages[0], epochs=20, lr=1e-2),)
    export = replace(recipe.export, formats=("float32",))
    evaluation = Evaluation(cases=1, resamples=100, **evaluation)
    return replace(recipe, data=data, stages=stages, export=export, evaluation=evaluation)


@pytest.fixture(scope="module")
def of_classes(small_recipe, three_classes, tmp_path_factory):
    return run(small(small_recipe, three_classes, CLASSES, ordered=True), tmp_path_factory.mktemp("runs") / "classes")


@pytest.fixture(scope="module")
def of_findings(small_recipe, several_findings, tmp_path_factory):
    wanted = {"operating_point": "sensitivity>=0.9", "prevalence": 0.1}
    recipe = small(small_recipe, several_findings, ("Bright", "Visible"), **wanted)
    return run(recipe, tmp_path_factory.mktemp("runs") / "findings")


@pytest.mark.slow
def test_classes_that_exclude_each_other_share_one_probability(of_classes, capsys):
    result, folder = of_classes
    table = pd.read_csv(folder / "predictions.csv")
    chances = table[[f"probability_{name}" for name in CLASSES]]
    assert np.allclose(chances.sum(axis=1), 1)
    assert set(table["label"]) == set(CLASSES)
    assert result.evaluation.estimates["macro_auc"].value > 0.8
    assert result.info.decoder.thresholds == ()
    path = result.manifest.table.set_index("id")["path"][result.test["id"].iloc[0]]
    assert main(["predict", str(folder / "model_float32.tflite"), path, "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)[0]
    assert list(answer["probabilities"].values()) == pytest.approx(list(result.test[chances.columns].iloc[0]), abs=1e-4)
    assert answer["decision"] == max(answer["probabilities"], key=answer["probabilities"].get)


@pytest.mark.slow
def test_findings_are_asked_each_for_itself(of_findings):
    result, folder = of_findings
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics["test"]["by_finding"]) == ["Bright", "Visible"]
    assert len(result.info.decoder.thresholds) == 2
    assert set(metrics["at_prevalence"]) == {"Bright", "Visible"}
    validation = metrics["operating_point"]["validation"]
    assert all(point["sensitivity"] >= 0.9 for point in validation)
    assert set(pd.read_csv(folder / "predictions.csv")["label_Bright"]) == {-1, 0, 1}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["of_classes", "of_findings"])
def test_a_run_of_any_kind_can_be_evaluated_again(kind, request, capsys, tmp_path):
    result, folder = request.getfixturevalue(kind)
    capsys.readouterr()  # what the run said, if it was made for this test
    assert main(["evaluate", str(folder), "--json", *["--ordered"][: kind == "of_classes"]]) == 0
    again = json.loads(capsys.readouterr().out)["test"]
    written = json.loads((folder / "metrics.json").read_text())["test"]
    assert again["by_finding"] == written["by_finding"]
    assert again["macro_auc"] == written["macro_auc"]
    twin = shutil.copytree(folder, tmp_path / "twin")
    assert main(["compare", str(folder), str(twin), "--out", str(tmp_path / "page")]) == 0
    assert "+0" in capsys.readouterr().out or pd.read_csv(tmp_path / "page" / "compare.csv")["macro_auc_gain"][1] == 0
    assert main(["shift", str(folder), "--severities", "3", "--limit", "6", "--out", str(tmp_path / "shift")]) == 0
    assert "Macro AUC lost" in capsys.readouterr().out
    assert read_image(result.manifest.table["path"][0], result.info.reading).pixels.shape == (32, 32, 1)

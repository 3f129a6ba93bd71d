"""`kmedtl validate`: a finished run on images of another source."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from kmedtl.cli import main
from kmedtl.data.manifest import write
from kmedtl.data.pseudonyms import pseudonym
from tests.conftest import of_other_people


@pytest.fixture
def elsewhere(tmp_path):
    """Films of other people, as a table: their finding, sex and scanner."""
    write(of_other_people("phantom:30", seed=8), tmp_path / "site.csv")
    return tmp_path / "site.csv"


def test_a_run_is_judged_on_another_source_and_nothing_is_chosen_anew(trained, elsewhere, tmp_path, capsys):
    result, run = trained
    asked = ["validate", str(run), "--data", str(elsewhere), "--groups", "sex", "--out", str(tmp_path / "v")]
    assert main([*asked, "--at-least", "auc=0", "--at-least", "sensitivity=1.01"]) == 3
    printed = capsys.readouterr().out
    assert "Missed: sensitivity is" in printed
    assert "…" not in printed  # what cannot be told has its reason in a line of its own
    assert "SYNTHETIC" in printed
    table = pd.read_csv(tmp_path / "v" / "predictions.csv")
    assert len(table) == len(pd.read_csv(elsewhere))
    figures = json.loads((tmp_path / "v" / "validation.json").read_text())["figures"]
    assert figures["auc"]["here"]["value"] == pytest.approx(roc_auc_score(table["label"] == 1, table["probability"]))
    threshold = result.info.decoder.thresholds[0]
    called = table.loc[table["label"] == 1, "probability"] >= threshold
    assert figures["sensitivity"]["here"]["value"] == pytest.approx(called.mean())
    for name, figure in figures.items():
        if None not in (figure["own"]["value"], figure["here"]["value"]):
            gap = figure["here"]["value"] - figure["own"]["value"]
            assert figure["difference"]["value"] == pytest.approx(gap), name
    assert figures["auc"]["own"]["value"] == pytest.approx(result.evaluation.estimates["auc"].value)
    assert {"calibration_slope", "ece", "unlike_training"} <= set(figures)
    page = (tmp_path / "v" / "validation.html").read_text()
    assert "SYNTHETIC" in page
    assert str(tmp_path) not in page


def test_patients_whom_validation_chose_by_are_refused_under_their_own_names(trained, tmp_path, capsys):
    """A run on images of persons keeps pseudonyms alone; the source that it is judged on has the names."""
    run = shutil.copytree(trained[1], tmp_path / "run")
    known = pd.read_csv(run / "manifest.csv", dtype=str, keep_default_na=False)
    for name in ("manifest.csv", "predictions.csv"):
        table = pd.read_csv(run / name, dtype=str, keep_default_na=False)
        table.assign(patient=table["patient"].map(pseudonym)).to_csv(run / name, index=False)
    known[known["split"] == "val"].drop(columns="split").to_csv(tmp_path / "site.csv", index=False)
    assert main(["validate", str(run), "--data", str(tmp_path / "site.csv"), "--out", str(tmp_path / "v")]) == 2
    assert "taught or tuned" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("file", ["model_float32.tflite", "model_int8.tflite", "saved_model"])
def test_each_file_of_a_run_is_judged(trained, elsewhere, tmp_path, file):
    path = trained[1] / file
    if not path.exists():
        pytest.skip(f"{file} missed its gate")
    assert main(["validate", str(path), "--data", str(elsewhere), "--out", str(tmp_path / "v"), "--limit", "20"]) == 0
    assert json.loads((tmp_path / "v" / "validation.json").read_text())["model"] == file


def test_patients_who_taught_the_run_are_refused_before_images_are_decoded(trained, tmp_path, monkeypatch, capsys):
    result, run = trained
    source = result.recipe.data.source
    monkeypatch.setenv("KMEDTL_CACHE", str(tmp_path / "cache"))
    assert main(["validate", str(run), "--data", source, "--out", str(tmp_path / "v")]) == 2
    refused = capsys.readouterr().err
    assert "taught or tuned" in refused
    ids = pd.read_csv(run / "manifest.csv", dtype=str).query("split != 'test'")["id"]
    assert refused.split("of its patients")[1].split(", of ")[1].split(";")[0] in set(ids)
    assert not (tmp_path / "cache" / "stores").exists()
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at-least", "auc"], "expected FIGURE=VALUE"),
        (["--data", "nowhere.csv"], "no such folder or file"),
        (["--at-least", "auk=0.9"], "--at-least auk: no such figure. Did you mean 'auc'?"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(trained, elsewhere, arguments, message, tmp_path, capsys):
    try:
        code = main(["validate", str(trained[1]), "--data", str(elsewhere), "--out", str(tmp_path / "v"), *arguments])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_other_classes_are_refused(trained, elsewhere, tmp_path, capsys):
    table = pd.read_csv(elsewhere)
    table["label"] = np.where(table.index % 2, "well", "ill")
    table.drop(columns="split").to_csv(tmp_path / "other.csv", index=False)
    out = ["--out", str(tmp_path / "v")]
    assert main(["validate", str(trained[1]), "--data", str(tmp_path / "other.csv"), *out]) == 2
    assert "classes" in capsys.readouterr().err

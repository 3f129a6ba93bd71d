"""`kmedtl update`: what it refuses, in a line, before anything trains."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest

from kmedtl import recipe as recipes
from kmedtl.cli import main
from kmedtl.data.manifest import write
from tests.conftest import of_other_people


@pytest.fixture
def elsewhere(tmp_path):
    write(of_other_people("phantom:30", seed=8), tmp_path / "site.csv")
    return tmp_path / "site.csv"


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained[1], tmp_path / "run")


def refused(capsys, *words):
    try:
        code = main(["update", *map(str, words)])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "Traceback" not in said
    return said


def test_folders_that_hold_no_single_model_are_refused(run, elsewhere, tmp_path, capsys):
    (tmp_path / "folds" / "fold-1").mkdir(parents=True)
    assert "folds: holds several folds; name one of them" in refused(capsys, tmp_path / "folds", "--data", elsewhere)
    (run / "model.keras").unlink()  # as in the folder of an ensemble
    assert "model.keras is not there" in refused(capsys, run, "--data", elsewhere)
    assert "nothing" in refused(capsys, tmp_path / "nothing", "--data", elsewhere)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--margin", "0"], "update.margin: expected above 0 and below 1"),
        (["--replay", "features"], "update.replay"),
        (["--set", "data.size=48"], "data.size: expected 64"),
        (["--set", "head.kind=mlp"], "head.kind: expected 'linear'"),
        (["--set", "data.folds=3"], "data.folds: expected 0 beside update.run"),
        (["--set", "schedule=auto", "--set", "stages=[]"], "schedule: expected stages beside update.run"),
        (["--data", "nowhere.csv"], "no such folder or file"),
    ],
)
def test_settings_that_no_update_can_have_are_refused(words, message, run, elsewhere, tmp_path, capsys):
    assert message in refused(capsys, run, "--data", elsewhere, "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_other_classes_are_refused(run, elsewhere, tmp_path, capsys):
    table = pd.read_csv(elsewhere)
    table["label"] = "quite ill"
    table.to_csv(elsewhere, index=False)
    assert "'quite ill'" in refused(capsys, run, "--data", elsewhere, "--out", tmp_path / "out")


def test_a_run_with_fields_beside_the_image_is_refused(run, elsewhere, capsys):
    recipe = recipes.read(run / "recipe.yaml")
    recipes.write(replace(recipe, tabular={"age": "number"}), run / "recipe.yaml")
    assert "tabular: expected no fields beside update.run" in refused(capsys, run, "--data", elsewhere)


def test_a_folder_in_the_way_of_a_rejected_one_is_refused_beforehand(run, elsewhere, tmp_path, capsys):
    (tmp_path / "out.rejected").mkdir()
    said = refused(capsys, run, "--data", elsewhere, "--out", tmp_path / "out")
    assert "out.rejected: exists already" in said

"""What the page on ensembles tells a reader to type works."""

import shutil

import pandas as pd
import pytest

from kmedtl import recipe as recipes
from kmedtl.cli import main
from kmedtl.config import override
from tests.test_docs import parsed_commands_of, run_commands_of

PAGE = "ensembles.md"


@pytest.mark.slow
def test_its_commands_run(trained, tmp_path, monkeypatch, capsys):
    for name in ("A", "B", "C"):
        shutil.copytree(trained[1], tmp_path / name)
        path = tmp_path / name / "recipe.yaml"
        recipes.write(override(recipes.read(path), ["export.formats=[float32]"]), path)
    monkeypatch.chdir(tmp_path)
    run_commands_of(PAGE, capsys)
    soup, run = (pd.read_csv(folder / "predictions.csv") for folder in (tmp_path / "SOUP", trained[1]))
    assert list(soup["id"]) == list(run["id"])
    assert soup["logit"].to_numpy() == pytest.approx(run["logit"].to_numpy(), abs=1e-4)  # of a run and its copies
    assert (tmp_path / "SOUP" / "model_float32.tflite").is_file()
    for command in (["compare", "A", "SOUP", "--out", "PAGE"], ["evaluate", "SOUP"], ["report", "SOUP"]):
        assert main(command) == 0


def test_what_trains_is_parsed_and_its_settings_make_a_recipe():
    assert parsed_commands_of(PAGE) >= 6

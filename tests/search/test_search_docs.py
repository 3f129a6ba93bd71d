"""What the pages on search and scaling tell a reader to type works."""

import re
import shlex

import pandas as pd
import pytest
import yaml

from kmedtl import config
from kmedtl import recipe as recipes
from kmedtl.cli import parser
from kmedtl.recipes.pneumonia import RECIPE
from kmedtl.search.space import check
from tests.search.conftest import searched
from tests.test_docs import DOCS, run_commands_of


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), flags=re.S)


def test_the_recipe_on_the_page_can_be_searched():
    (text,) = blocks("search.md", "yaml")
    check(config.build(recipes.Recipe, config.to_dict(RECIPE) | yaml.safe_load(text)))


def test_the_commands_of_several_machines_are_commands():
    lines = [line for block in blocks("scaling.md", "console") for line in block.splitlines()]
    variables = [[word for word in shlex.split(line) if word.startswith("KERASTUNER_")] for line in lines]
    assert [len(words) for words in variables] == [3, 3, 0]  # a chief, a worker, and Ray
    for line, words in zip(lines, variables, strict=True):
        assert parser().parse_args(shlex.split(line)[len(words) + 1 :]).command == "search"


@pytest.mark.slow
def test_the_script_on_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (script,) = blocks("search.md", "python")
    exec(compile(script, "search.md", "exec"), {})
    assert re.search(r"0\.\d+ (linear|mlp) \d{7}", capsys.readouterr().out)
    assert (tmp_path / "tuned" / "mine" / "oracle.json").is_file()


@pytest.mark.slow
def test_the_commands_on_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KMEDTL_CACHE", str(tmp_path / "cache"))
    space = "search.space={stages.1.train: ['last:1', 'last:2'], stages.1.l2_sp: log 1e-4..1e-1}"
    recipes.write(searched(space), tmp_path / "my_recipe.yaml", defaults=False)
    run_commands_of("search.md", capsys)
    full = pd.read_csv(tmp_path / "FULL" / "search.csv")
    assert list(full["epochs"]) == [8, 8]  # four in each of two folds
    assert yaml.safe_load((tmp_path / "FULL" / "best.yaml").read_text())["stages"][1]["train"] in ("last:1", "last:2")
    assert not list((tmp_path / "FULL").rglob("trials/*/fold-*"))
